//! Mutants of the JWT gateway before the agent service.

use super::Mutant;

mutants! { AGENT_SERVICE of "agent-service":
    // jwt
    MISSING_JWT_PASSES = "missing-jwt-passes" breaks "jwt/none": "Access control lets a request without a token through, as a guest.";
    SERVICE_TRUSTS_NETWORK = "service-trusts-network" breaks "jwt/none": "The agent service verifies nothing: it trusts that only the gateway reaches it.";
    SIGNATURE_UNCHECKED = "signature-unchecked" breaks "jwt/bad": "Tokens are decoded without verifying their signature.";
    SIGNATURE_PREFIX = "signature-prefix" breaks "jwt/bad": "Signatures are compared only up to the length of the shorter one.";
    FOURTH_PART_IGNORED = "fourth-part-ignored" breaks "jwt/bad": "A token with more than three parts is accepted by its first three.";
    EXP_UNCHECKED = "exp-unchecked" breaks "jwt/expired": "Tokens never expire.";
    LEEWAY_IN_MINUTES = "leeway-in-minutes" breaks "jwt/leeway": "The leeway is 30 minutes instead of 30 seconds.";
    NO_LEEWAY = "no-leeway" breaks "jwt/leeway": "A token that expired a moment ago by another machine's clock is refused.";
    ALG_NONE = "alg-none" breaks "jwt/alg": "A token with alg none is accepted without a signature.";
    ALG_NONE_OTHER_CASE = "alg-none-other-case" breaks "jwt/alg": "Only the lower-case spelling of alg none is refused.";
    ALG_UNREAD = "alg-unread" breaks "jwt/alg": "Every signature is verified as HS256, whatever the header says.";
    ALG_FROM_HEADER = "alg-from-header" breaks "jwt/alg-family": "The token's own header chooses the HMAC it is verified with.";
    EXP_NOT_REQUIRED = "exp-not-required" breaks "jwt/claims": "A token without exp never expires.";
    SUB_NOT_REQUIRED = "sub-not-required" breaks "jwt/claims": "A token without sub is accepted as the user nobody.";
    USER_ID_NOT_REQUIRED = "user-id-not-required" breaks "jwt/claims": "A token without userId is accepted as user 0.";

    // role
    ROLE_UNCHECKED = "role-unchecked" breaks "role/inactive": "Access control lets in everybody with a valid token, whatever the role.";
    ROLE_BY_SUBSTRING = "role-by-substring" breaks "role/inactive": "Any role with ADMIN or REGULAR in its name is accepted.";
    ROLE_MISSING_PASSES = "role-missing-passes" breaks "role/inactive": "A token without a role counts as REGULAR.";
    FORBIDDEN_IS_UNAUTHORIZED = "forbidden-is-unauthorized" breaks "role/inactive": "A role without permission gets 401 instead of 403.";
    ONLY_GET_GUARDED = "only-get-guarded" breaks "role/inactive": "The gateway asks access control only about GET.";
    ADMIN_FORGOTTEN = "admin-forgotten" breaks "role/allowed": "Only REGULAR users may use agents; ADMIN is refused.";
    EMAIL_LEFT_OUT = "email-left-out" breaks "role/allowed": "Access control omits the user's email.";

    // models
    MODELS_WITHOUT_KEY = "models-without-key" breaks "models/list": "The agent service asks LiteLLM without its key.";
    MODELS_BARE_LIST = "models-bare-list" breaks "models/list": "The list of models is returned bare, without its enclosing object.";
    OLD_MODELS_LEFT = "old-models-left" breaks "models/old": "The old path of the models still works.";
    DOWN_IS_EMPTY = "down-is-empty" breaks "models/upstream-down": "When LiteLLM can't be reached, the list of models is empty instead of an error.";

    // methods
    AUTHORIZER_KNOWS_THREE = "authorizer-knows-three" breaks "methods/usual": "Access control accepts only GET, POST and DELETE.";
    GATEWAY_REWRITES_PATCH = "gateway-rewrites-patch" breaks "methods/usual": "The gateway forwards PATCH as POST.";

    // health
    HEALTH_GUARDED = "health-guarded" breaks "health/open": "The agent service requires a token for its health check too.";
    HEALTH_NOT_ROUTED = "health-not-routed" breaks "health/open": "The gateway has no route to the service's health check.";

    // ws
    QUERY_TOKEN_UNCHECKED = "query-token-unchecked" breaks "ws/refused": "The agent service doesn't verify the token of an upgrade.";
    INIT_FIRST = "init-first" breaks "ws/refused": "The conversation begins before the token is checked.";
    UPGRADES_UNASKED = "upgrades-unasked" breaks "ws/refused": "The gateway doesn't ask access control about upgrades.";
    UPGRADE_WITHOUT_QUERY = "upgrade-without-query" breaks "ws/accepted": "The gateway drops the query when it forwards upgrades.";
    INIT_FORGOTTEN = "init-forgotten" breaks "ws/accepted": "The conversation begins without its first message.";

    TOKENS_REMEMBERED = "tokens-remembered" breaks "ws/open": "The gateway doesn't ask again about a token that access control once let in, also after the secret has changed.";

    HEADER_ONLY_BREAKS = "header-only-breaks" breaks "ws/header-only": "An upgrade with its token only in the header causes a server error in the agent service.";

    // rest
    QUERY_ONLY_BREAKS = "query-only-breaks" breaks "rest/query-only": "A request with its token only in the query causes a server error in the agent service.";

    // headers
    USER_HEADERS_MERGED = "user-headers-merged" breaks "headers/trusted": "The gateway appends access control's x-user-* headers to the client's.";
    USER_HEADERS_KEPT = "user-headers-kept" breaks "headers/trusted": "The gateway keeps x-user-* headers that the client sent instead of replacing them.";
    USER_ROLE_KEPT = "user-role-kept" breaks "headers/trusted": "The gateway removes only the three user headers that access control sets, so the client's x-user-role reaches the service.";
    UPGRADE_USER_HEADERS_KEPT = "upgrade-user-headers-kept" breaks "headers/trusted": "The gateway removes the client's user headers from requests but not from upgrades.";
    USER_HEADERS_NOT_ADDED = "user-headers-not-added" breaks "headers/trusted": "The gateway doesn't pass access control's user headers to the service.";
    USER_HEADER_IS_A_PASS = "user-header-is-a-pass" breaks "headers/trusted": "The agent service accepts x-user-id in place of a token.";
    OMITTED_KEEPS_CLIENTS = "omitted-keeps-clients" breaks "headers/omitted": "The client's value of a user header survives where access control omits that header.";
    UNDERSCORES_KEPT = "underscores-kept" breaks "headers/omitted": "The gateway forwards x_user_id, which some servers read as x-user-id.";

    // authz
    OPEN_WHERE_GONE = "open-where-gone" breaks "authz/down": "When access control can't be reached, the gateway lets everybody through.";
    OPEN_ON_ERROR = "open-on-error" breaks "authz/down": "The gateway blocks only on 401 and 403; any other answer of access control lets the request through.";
    OPEN_ON_ANY_SUCCESS = "open-on-any-success" breaks "authz/down": "Any answer of access control below 300 lets a request through.";
    OPEN_WHERE_SLOW = "open-where-slow" breaks "authz/down": "A timeout of access control counts as permission.";

    // policy
    POLICY_ON_ANOTHER_ROUTE = "policy-on-another-route" breaks "policy/attached": "The gateway's policy is attached to a nonexistent route, so the agents' route is unguarded.";
    LOCALHOST_UNASKED = "localhost-unasked" breaks "policy/attached": "The gateway doesn't ask access control about requests whose Host is localhost.";
    POLICY_STAYS = "policy-stays" breaks "policy/removed": "The gateway keeps asking access control after its policy is removed, so a missing policy goes unnoticed.";

    // load
    QUESTIONS_MERGED = "questions-merged" breaks "load/refuses": "Requests to one path that come while the gateway asks access control about it share the answer, whoever sent them.";
    OPEN_WHERE_BUSY = "open-where-busy" breaks "load/refuses": "While 8 questions to access control are under way, the gateway lets further requests through.";

    // leak
    JWT_IN_LOG = "jwt-in-log" breaks "leak/log": "Access control logs the tokens that it refuses.";
    JWT_START_IN_LOG = "jwt-start-in-log" breaks "leak/log": "Access control logs the first characters of the tokens that it refuses.";
    HALF_UPGRADE_IN_LOG = "half-upgrade-in-log" breaks "leak/log": "The agent service logs the whole URL of a request for a conversation that isn't an upgrade.";
    JWT_IN_ERROR_BODY = "jwt-in-error-body" breaks "leak/error-body": "The agent service's refusals repeat the token.";
    KEY_IN_ERROR_BODY = "key-in-error-body" breaks "leak/error-body": "When LiteLLM can't be reached, the error body contains the request with its key.";

    // hardening
    PADDING_TAKEN = "padding-taken" breaks "hardening/spellings": "A signature with padding is accepted.";
    STANDARD_ALPHABET_TAKEN = "standard-alphabet-taken" breaks "hardening/spellings": "A signature in the standard base64 alphabet, not the URL-safe one, is accepted.";
    KID_IS_A_FILE = "kid-is-a-file" breaks "hardening/kid": "The key is read from the file named by kid; an unreadable file counts as an empty key.";
    JWK_TRUSTED = "jwk-trusted" breaks "hardening/embedded-keys": "A key embedded in the token's header is trusted.";
    JKU_FETCHED = "jku-fetched" breaks "hardening/embedded-keys": "The key is fetched from the URL in the token's header.";
    CRIT_UNREAD = "crit-unread" breaks "hardening/registered": "Critical header parameters (crit) are ignored.";
    NBF_UNREAD = "nbf-unread" breaks "hardening/registered": "A token is accepted before its nbf.";
    AUD_UNREAD = "aud-unread" breaks "hardening/registered": "A token for another audience is accepted.";
    SERVICE_READS_TYP = "service-reads-typ" breaks "hardening/declared": "The agent service requires typ JWT, and access control doesn't.";
    EXP_AS_TEXT = "exp-as-text" breaks "hardening/expiry": "An exp that is a string of digits is accepted.";
    EXP_WHOLE_SECONDS = "exp-whole-seconds" breaks "hardening/expiry": "exp is truncated to whole seconds.";
    USER_ID_COERCED = "user-id-coerced" breaks "hardening/claim-types": "A userId of any type is converted to a number.";
    ROLE_ANY_CASE = "role-any-case" breaks "hardening/role-types": "A role is accepted in any case.";
    CONTROL_CHARACTER_BREAKS = "control-character-breaks" breaks "hardening/claim-texts": "A line break in a claim causes a server error in access control.";
    DEFAULT_SECRET_TAKEN = "default-secret-taken" breaks "hardening/weak-secrets": "Tokens signed with the secret from the documentation's example are accepted.";
    DECISIONS_CACHED = "decisions-cached" breaks "hardening/caching": "Access control caches its decisions by path.";
    ORIGINAL_URL_TRUSTED = "original-url-trusted" breaks "hardening/rewrites": "The gateway asks access control about the path in X-Original-URL.";
    FIRST_OF_TWO = "first-of-two" breaks "hardening/two-tokens": "Of two tokens the first one is used silently.";
    CHALLENGE_FORGOTTEN = "challenge-forgotten" breaks "hardening/refusals": "A 401 doesn't name the authentication scheme.";
    OTHER_CASE_UNGUARDED = "other-case-unguarded" breaks "hardening/paths": "The agent service routes paths in any case but guards only one.";
    OPTIONS_UNASKED = "options-unasked" breaks "hardening/methods": "The gateway doesn't ask access control about OPTIONS, to suit browsers.";
    CONNECTION_TAKES_ALL = "connection-takes-all" breaks "hardening/hop-by-hop": "The gateway applies the client's Connection header after adding access control's headers, which removes them.";
    CONNECTION_IS_TRUSTED = "connection-is-trusted" breaks "hardening/smuggling": "After one permitted request, the gateway stops asking about the rest of the connection.";
    LOOPBACK_CLIENT_UNASKED = "loopback-client-unasked" breaks "hardening/client-address": "The gateway doesn't ask access control if X-Forwarded-For begins with a loopback address.";
    COOKIE_IS_A_TOKEN = "cookie-is-a-token" breaks "hardening/places": "Without a token elsewhere, a cookie counts as one.";
    EMPTY_TOKEN_FALLS_BACK = "empty-token-falls-back" breaks "hardening/places": "Beside an empty token, the one in X-Access-Token counts.";
    SUBPROTOCOL_IS_A_TOKEN = "subprotocol-is-a-token" breaks "hardening/places": "A token offered as a subprotocol counts on upgrades.";
    OWN_COOKIE_IS_A_PASS = "own-cookie-is-a-pass" breaks "hardening/places": "The agent service sets a cookie after a good token, and accepts it in place of one.";
    MODELS_UNASKED = "models-unasked" breaks "hardening/every-route": "The gateway doesn't ask access control about the list of models.";
    SETTINGS_UNVERIFIED = "settings-unverified" breaks "hardening/every-route": "The agent service doesn't verify the token of a PATCH.";
    EXACT_UPGRADE_ONLY = "exact-upgrade-only" breaks "hardening/handshakes": "The agent service takes an upgrade only if Connection is exactly Upgrade.";
    UNAGREED_COMPRESSION = "unagreed-compression" breaks "hardening/handshakes": "The agent service marks messages as compressed for clients that offer compression, without agreeing to it.";
    KEY_IN_HEALTH_HEADER = "key-in-health-header" breaks "hardening/open-doors": "The health check's answer has LiteLLM's key in a header.";
    CONFIG_SHOWS_SECRET = "config-shows-secret" breaks "hardening/open-doors": "The agent service answers /api/config, without a token, with its configuration and the JWT secret.";
    QUIET_CONVERSATION_CUT = "quiet-conversation-cut" breaks "hardening/quiet": "The gateway cuts a conversation that has been quiet for a second.";
    LARGE_BODY_REFUSED = "large-body-refused" breaks "hardening/bodies": "The gateway refuses bodies of more than 64 KB.";
    LONG_TOKEN_BREAKS = "long-token-breaks" breaks "hardening/oversize": "A token of more than 4 KB causes a server error in the agent service.";
}
