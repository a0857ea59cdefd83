//! Mutants of the JWT gateway before the agent service.

use super::Mutant;

mutants! { AGENT_SERVICE of "agent-service":
    // jwt
    MISSING_JWT_PASSES = "missing-jwt-passes" breaks "jwt/none": "Access control lets a request without a token through, as a guest.";
    SERVICE_TRUSTS_NETWORK = "service-trusts-network" breaks "jwt/none": "The agent service verifies nothing: it trusts that only the gateway reaches it.";
    SIGNATURE_UNCHECKED = "signature-unchecked" breaks "jwt/bad": "Tokens are decoded, and their signature isn't looked at.";
    SIGNATURE_PREFIX = "signature-prefix" breaks "jwt/bad": "The signature is compared as far as the shorter of the two goes.";
    FOURTH_PART_IGNORED = "fourth-part-ignored" breaks "jwt/bad": "Of a token with more than three parts the first three are taken.";
    EXP_UNCHECKED = "exp-unchecked" breaks "jwt/expired": "A token is good for ever.";
    LEEWAY_IN_MINUTES = "leeway-in-minutes" breaks "jwt/expired": "The leeway is 30 minutes, not 30 seconds.";
    NO_LEEWAY = "no-leeway" breaks "jwt/leeway": "A token that expired a moment ago, by another machine's clock, is refused.";
    ALG_NONE = "alg-none" breaks "jwt/alg": "A token whose alg is none needs no signature.";
    ALG_NONE_OTHER_CASE = "alg-none-other-case" breaks "jwt/alg": "The alg none is refused, but only in lower case.";
    ALG_UNREAD = "alg-unread" breaks "jwt/alg": "The signature is verified as HS256's, whatever the header says.";
    ALG_FROM_HEADER = "alg-from-header" breaks "jwt/alg-family": "The token's own header says by which HMAC it is verified.";
    EXP_NOT_REQUIRED = "exp-not-required" breaks "jwt/claims": "A token without exp never expires.";
    SUB_NOT_REQUIRED = "sub-not-required" breaks "jwt/claims": "A token without sub is one of nobody's.";
    USER_ID_NOT_REQUIRED = "user-id-not-required" breaks "jwt/claims": "A token without userId is that of user 0.";

    // role
    ROLE_UNCHECKED = "role-unchecked" breaks "role/inactive": "Access control lets through everybody who has a good token.";
    ROLE_BY_SUBSTRING = "role-by-substring" breaks "role/inactive": "A role that has ADMIN or REGULAR somewhere in its name will do.";
    ROLE_MISSING_PASSES = "role-missing-passes" breaks "role/inactive": "A token without a role is that of a REGULAR user.";
    FORBIDDEN_IS_UNAUTHORIZED = "forbidden-is-unauthorized" breaks "role/inactive": "A role that may not gets 401, as if a login would help.";
    ONLY_GET_GUARDED = "only-get-guarded" breaks "role/inactive": "The gateway asks access control about GET only.";
    ADMIN_FORGOTTEN = "admin-forgotten" breaks "role/allowed": "Only the role REGULAR may use agents.";
    EMAIL_LEFT_OUT = "email-left-out" breaks "role/allowed": "Access control doesn't say the user's email.";

    // models
    MODELS_WITHOUT_KEY = "models-without-key" breaks "models/list": "The agent service asks LiteLLM without its key.";
    MODELS_BARE_LIST = "models-bare-list" breaks "models/list": "The models come as a bare list.";
    OLD_MODELS_LEFT = "old-models-left" breaks "models/old": "The old path of the models still works.";
    DOWN_IS_EMPTY = "down-is-empty" breaks "models/upstream-down": "Where LiteLLM can't be reached the list of models is empty.";

    // methods
    AUTHORIZER_KNOWS_THREE = "authorizer-knows-three" breaks "methods/usual": "Access control knows GET, POST and DELETE only.";
    GATEWAY_REWRITES_PATCH = "gateway-rewrites-patch" breaks "methods/usual": "The gateway forwards PATCH as POST.";

    // health
    HEALTH_GUARDED = "health-guarded" breaks "health/open": "The agent service wants a token for its health as well.";
    HEALTH_NOT_ROUTED = "health-not-routed" breaks "health/open": "The gateway knows no way to the service's health.";

    // ws
    QUERY_TOKEN_UNCHECKED = "query-token-unchecked" breaks "ws/refused": "The agent service doesn't verify the token of an upgrade.";
    INIT_FIRST = "init-first" breaks "ws/refused": "The conversation begins before the token is looked at.";
    UPGRADES_UNASKED = "upgrades-unasked" breaks "ws/refused": "The gateway doesn't ask access control about upgrades.";
    UPGRADE_WITHOUT_QUERY = "upgrade-without-query" breaks "ws/accepted": "The gateway forwards upgrades without their query.";
    INIT_FORGOTTEN = "init-forgotten" breaks "ws/accepted": "The conversation begins without a word.";

    HEADER_ONLY_BREAKS = "header-only-breaks" breaks "ws/header-only": "An upgrade whose token is in the header alone ends in an error of the agent service.";

    // rest
    QUERY_ONLY_BREAKS = "query-only-breaks" breaks "rest/query-only": "A request whose token is in the query alone ends in an error of the agent service.";

    // headers
    USER_HEADERS_MERGED = "user-headers-merged" breaks "headers/trusted": "The gateway adds access control's x-user-* to those of the client.";
    USER_HEADERS_KEPT = "user-headers-kept" breaks "headers/trusted": "The gateway adds no x-user-* where the client sent one already.";
    USER_HEADERS_NOT_ADDED = "user-headers-not-added" breaks "headers/trusted": "The gateway doesn't tell the service who the user is.";
    USER_HEADER_IS_A_PASS = "user-header-is-a-pass" breaks "headers/trusted": "The agent service lets in who has x-user-id, and asks for no token then.";
    OMITTED_KEEPS_CLIENTS = "omitted-keeps-clients" breaks "headers/omitted": "Where access control leaves a header out the client's own stays.";
    UNDERSCORES_KEPT = "underscores-kept" breaks "headers/omitted": "The gateway leaves x_user_id alone, which some servers read as x-user-id.";

    // authz
    OPEN_WHERE_GONE = "open-where-gone" breaks "authz/down": "Where access control can't be reached the gateway lets everybody through.";
    OPEN_ON_ERROR = "open-on-error" breaks "authz/down": "Only 401 and 403 of access control keep a request out.";
    OPEN_ON_ANY_SUCCESS = "open-on-any-success" breaks "authz/down": "Any answer of access control below 300 lets a request through.";
    OPEN_WHERE_SLOW = "open-where-slow" breaks "authz/down": "An answer of access control that comes too late counts as yes.";

    // policy
    POLICY_ON_ANOTHER_ROUTE = "policy-on-another-route" breaks "policy/attached": "The gateway's policy is attached to a route that isn't there: the agents' is forwarded unasked.";
    POLICY_STAYS = "policy-stays" breaks "policy/removed": "The gateway keeps asking when its policy is taken away, so that nothing tells whether there is one.";

    // leak
    JWT_IN_LOG = "jwt-in-log" breaks "leak/log": "Access control logs the tokens that it refuses.";
    JWT_IN_ERROR_BODY = "jwt-in-error-body" breaks "leak/error-body": "The agent service's refusal repeats the token.";
    KEY_IN_ERROR_BODY = "key-in-error-body" breaks "leak/error-body": "Where LiteLLM can't be reached the answer shows the request, key and all.";

    // hardening
    PADDING_TAKEN = "padding-taken" breaks "hardening/spellings": "A signature may have padding behind it.";
    STANDARD_ALPHABET_TAKEN = "standard-alphabet-taken" breaks "hardening/spellings": "A signature may be in the alphabet of plain base64.";
    KID_IS_A_FILE = "kid-is-a-file" breaks "hardening/kid": "The key is read from the file that kid names; one that can't be read is an empty one.";
    JWK_TRUSTED = "jwk-trusted" breaks "hardening/embedded-keys": "The key that the token's own header has is taken.";
    JKU_FETCHED = "jku-fetched" breaks "hardening/embedded-keys": "The key is looked for where the token's own header says.";
    CRIT_UNREAD = "crit-unread" breaks "hardening/registered": "What the token's header calls critical is not looked at.";
    NBF_UNREAD = "nbf-unread" breaks "hardening/registered": "A token is good before it is.";
    AUD_UNREAD = "aud-unread" breaks "hardening/registered": "A token for others will do.";
    SERVICE_READS_TYP = "service-reads-typ" breaks "hardening/declared": "The agent service wants the typ JWT, and access control doesn't.";
    EXP_AS_TEXT = "exp-as-text" breaks "hardening/expiry": "A text with digits is an expiry as well.";
    EXP_WHOLE_SECONDS = "exp-whole-seconds" breaks "hardening/expiry": "The fraction of a second is cut off an expiry.";
    USER_ID_COERCED = "user-id-coerced" breaks "hardening/claim-types": "A userId is made a number, whatever it was.";
    ROLE_ANY_CASE = "role-any-case" breaks "hardening/role-types": "A role counts in any case.";
    CONTROL_CHARACTER_BREAKS = "control-character-breaks" breaks "hardening/claim-texts": "A line break in a claim ends in an error of access control.";
    DEFAULT_SECRET_TAKEN = "default-secret-taken" breaks "hardening/weak-secrets": "The secret of the documentation's example still opens.";
    DECISIONS_CACHED = "decisions-cached" breaks "hardening/caching": "Access control keeps what it said of a path.";
    ORIGINAL_URL_TRUSTED = "original-url-trusted" breaks "hardening/rewrites": "The gateway asks about the path that X-Original-URL names.";
    FIRST_OF_TWO = "first-of-two" breaks "hardening/two-tokens": "Of two tokens the first one counts.";
    CHALLENGE_FORGOTTEN = "challenge-forgotten" breaks "hardening/refusals": "A 401 doesn't name the scheme.";
    OTHER_CASE_UNGUARDED = "other-case-unguarded" breaks "hardening/paths": "The agent service routes in any case, and guards in one.";
    OPTIONS_UNASKED = "options-unasked" breaks "hardening/methods": "The gateway doesn't ask access control about OPTIONS, for the browsers' sake.";
    CONNECTION_TAKES_ALL = "connection-takes-all" breaks "hardening/hop-by-hop": "The gateway takes away what Connection names when access control's headers are there.";
    CONNECTION_IS_TRUSTED = "connection-is-trusted" breaks "hardening/smuggling": "Behind a request that was let through the gateway asks no more about the connection.";
    LONG_TOKEN_BREAKS = "long-token-breaks" breaks "hardening/oversize": "A token of more than 4 KB ends in an error of the agent service.";
}
