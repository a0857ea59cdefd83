//! Mutants of the terminal behind a shared token.
//!
//! Rows are those of the contract's table. Its list of hardening has no ids;
//! the rows here are, in the list's order:
//!
//! | row | bullet |
//! |---|---|
//! | `hardening/token-values` | empty, spaces, `%00`, "null", "undefined" |
//! | `hardening/duplicates` | duplicates, `token[]=`, `TOKEN=`, `;` |
//! | `hardening/encoding` | exactly one percent-decoding |
//! | `hardening/oversize` | huge tokens, thousands of parameters |
//! | `hardening/timing` | comparison in constant time |
//! | `hardening/paths` | path variants that could bypass the check |
//! | `hardening/plain-http` | no terminal without an upgrade |
//! | `hardening/origin` | the `Origin` header, a policy |
//! | `hardening/refused-frames` | frames sent along with a refused upgrade |
//! | `hardening/frames` | broken frames: 1002, 1007, 1009 |
//! | `hardening/subprotocol` | no subprotocol is selected that isn't listed |
//! | `hardening/sharing` | another session's path, replay, second client |
//! | `hardening/half-open` | slow heads are closed, descriptors come back |
//! | `hardening/caching` | answers that carry a token aren't stored |
//! | `hardening/places` | a token where the contract names no place for one |
//! | `hardening/host` | foreign, missing and odd `Host` headers |
//! | `hardening/handshakes` | upgrades as browsers send them |
//! | `hardening/api-key` | the session API without its key |
//! | `hardening/endpoints` | the pod's other endpoints change nothing |
//!
//! What only a load shows has rows of its own. Those of its mutants that count terminals go wrong above
//! [`MANY`](super::MANY) of them:
//!
//! | row | what is wrong |
//! |---|---|
//! | `load/holds` | terminals are refused, lost or silent where there are many |
//! | `load/refuses` | the door opens for others, or not for those who may, where there are many, or when web follows another one |
//! | `load/returns` | connections stay when a load is over |

use super::Mutant;

mutants! { HARNESS_TOKEN of "harness-token":
    // token
    TOKEN_WITH_NEWLINE = "token-with-newline" breaks "token/accept": "The doors expect a trailing newline on the token, so the right token is refused.";
    KEYSTROKES_LOST = "keystrokes-lost" breaks "token/accept": "The sandbox drops binary frames instead of writing them to the terminal.";
    MISSING_TOKEN_OPENS = "missing-token-opens" breaks "token/refuse": "A request without a token isn't checked at all.";
    EMPTY_TOKEN_OPENS = "empty-token-opens" breaks "token/refuse": "An empty token counts as the right one.";
    CHECK_AFTER_UPGRADE = "check-after-upgrade" breaks "token/refuse": "A wrong token gets 101 and then a close, instead of 401.";
    CHECK_FIRST_CONNECT_ONLY = "check-first-connect-only" breaks "token/refuse": "Once one client has been let in, the sandbox lets everybody in.";
    HEALTH_DENIES_TOKEN = "health-denies-token" breaks "token/refuse": "The sandbox's health check says that no token is required.";
    SANDBOX_UNCHECKED = "sandbox-unchecked" breaks "token/refuse": "Only the proxy checks the token; the sandbox trusts its network.";
    PREFIX_COMPARE = "prefix-compare" breaks "token/near-misses": "Tokens are compared only up to the length of the shorter one.";
    SECOND_VALUE_OPENS = "second-value-opens" breaks "token/near-misses": "The doors also accept the value changeme, left over from development.";
    MASTER_KEY_OPENS = "master-key-opens" breaks "token/near-misses": "The proxy also accepts the session API's key in the header, and passes the token on itself.";
    CASE_INSENSITIVE_COMPARE = "case-insensitive-compare" breaks "token/near-misses": "Hex digits are compared without regard to case.";
    HEADER_WINS = "header-wins" breaks "token/both": "Where header and query disagree, the header decides.";
    PROXY_HEADER_WINS = "proxy-header-wins" breaks "token/both": "At the proxy the header decides, at the sandbox the query does.";
    TOKEN_IN_OTHER_VARIABLE = "token-in-other-variable" breaks "token/flow": "Sandboxes get the token in a variable of another name.";
    TTY_TOKEN_MADE_UP = "tty-token-made-up" breaks "token/flow": "The session API shows a token made up for the session, which no door accepts.";

    // bootstrap
    SEED_ONLY_WHOLE_SECRET = "seed-only-whole-secret" breaks "bootstrap/first-deploy": "The seed does nothing if the secret exists without the key.";
    SEED_WITH_NEWLINE = "seed-with-newline" breaks "bootstrap/first-deploy": "The seed stores the token with a trailing newline.";
    SEED_SHORT_TOKEN = "seed-short-token" breaks "bootstrap/first-deploy": "The seed generates a token of only 16 bytes.";
    SEED_OVERWRITES = "seed-overwrites" breaks "bootstrap/idempotent": "The seed generates a new token on every run.";
    UNSET_TOKEN_OPENS = "unset-token-opens" breaks "bootstrap/missing": "With no token configured the doors let everybody in.";
    TTY_TOKEN_EMPTY_TEXT = "tty-token-empty-text" breaks "bootstrap/missing": "With no token configured the session API shows an empty string instead of null.";
    WEB_REMEMBERS_TOKEN = "web-remembers-token" breaks "bootstrap/seeded": "Web stores its first token, or the lack of one, and prefers it after a restart.";
    WEB_FOLLOWS_SECRET = "web-follows-secret" breaks "bootstrap/seeded": "Web reads the token from the secret on each request instead of from its environment at start.";

    // warm
    WARM_CLONES_TEMPLATE = "warm-clones-template" breaks "warm/stale": "The worker creates warm pods as copies of an existing one, including its token.";
    UNSET_SANDBOX_ADOPTS_TOKEN = "unset-sandbox-adopts-token" breaks "warm/stale": "A sandbox without a token adopts the first one it is shown.";
    PROXY_VOUCHES = "proxy-vouches" breaks "warm/claimed": "The sandbox lets in every client that the proxy marked as checked, whatever its own token is.";

    // rotate
    NEW_SESSION_OLD_TOKEN = "new-session-old-token" breaks "rotate/new": "A new session's pod gets the token of the oldest existing sandbox.";
    ONE_REPLICA_STALE = "one-replica-stale" breaks "rotate/new": "Of the replicas of web the first to start after a rotation keeps the old token.";
    PREVIOUS_TOKEN_ACCEPTED = "previous-token-accepted" breaks "rotate/new": "Doors made after a rotation accept the previous token too.";
    PROXY_UNCHECKED = "proxy-unchecked" breaks "rotate/live": "Only the sandbox checks the token, so the old one still opens an old session through the proxy.";
    RESTART_KEEPS_TEMPLATE = "restart-keeps-template" breaks "rotate/live": "Restarting a session creates the new pod from the old one's template, including the old token.";
    WORKER_RECYCLES_STALE = "worker-recycles-stale" breaks "rotate/direct": "On start the worker deletes every sandbox whose token differs from its own.";
    STOP_CUTS_TERMINALS = "stop-cuts-terminals" breaks "rotate/open": "Web drops open terminals as soon as it is told to stop.";

    // alb
    BALANCER_KEEPS_AUTHORIZATION = "balancer-keeps-authorization" breaks "alb/strip": "The balancer leaves the Authorization header in upgrades.";
    BALANCER_STRIPS_ALWAYS = "balancer-strips-always" breaks "alb/strip": "The balancer strips the Authorization header from ordinary requests too.";
    BALANCER_REENCODES_QUERY = "balancer-reencodes-query" breaks "alb/strip": "The balancer decodes the query and re-encodes it differently.";
    FORWARDED_HEADER_HONOURED = "forwarded-header-honoured" breaks "alb/header": "The balancer passes the Authorization header on under another name, and the doors accept it there.";
    BALANCER_DROPS_QUERY = "balancer-drops-query" breaks "alb/query": "The balancer drops the query when it forwards upgrades.";
    BALANCER_ONE_CREDENTIAL = "balancer-one-credential" breaks "alb/both": "The balancer drops the query token of an upgrade that also has a header.";
    PLAIN_PORT_FORWARDS = "plain-port-forwards" breaks "alb/tls": "With TLS on, the plain port still forwards.";
    PLAIN_PORT_REDIRECTS_TOKEN = "plain-port-redirects-token" breaks "alb/tls": "With TLS on, the plain port redirects with the token in the Location header.";
    IDLE_TIMEOUT_IGNORED = "idle-timeout-ignored" breaks "alb/idle": "The balancer never cuts a quiet connection.";
    IDLE_COUNTS_FROM_START = "idle-counts-from-start" breaks "alb/idle": "The balancer cuts a connection once it is as old as the idle timeout, pings or not.";

    // leak
    TOKEN_IN_ACCESS_LOG = "token-in-access-log" breaks "leak/log": "The access log contains the query.";
    TOKEN_START_IN_LOG = "token-start-in-log" breaks "leak/log": "The doors log the first eight characters of each token that they accept.";
    REFUSED_QUERY_IN_LOG = "refused-query-in-log" breaks "leak/log": "The doors log the whole URL of an upgrade that they refuse.";
    PLAIN_QUERY_IN_LOG = "plain-query-in-log" breaks "leak/log": "The doors log the whole URL of a request that isn't an upgrade.";
    TOKEN_IN_START_LOG = "token-in-start-log" breaks "leak/log": "The sandbox logs its environment, in base64, when it starts.";
    TOKEN_IN_EVENT = "token-in-event" breaks "leak/event": "The worker's event about a new warm pod contains the pod's environment.";
    TOKEN_IN_ERROR_BODY = "token-in-error-body" breaks "leak/error-body": "A refusal repeats the requested URL.";
    TOKEN_IN_REDIRECT = "token-in-redirect" breaks "leak/redirect": "Web redirects a doubled slash to the clean path, with the query.";
    TOKEN_IN_ARGV = "token-in-argv" breaks "leak/process-list": "The terminal's program is started by a shell with the token among its arguments.";

    // hardening
    TOKEN_TRIMMED = "token-trimmed" breaks "hardening/token-values": "White space and NUL around a token are removed before it is compared.";
    UNDEFINED_OPENS = "undefined-opens" breaks "hardening/token-values": "With no token configured, the text \"undefined\" is accepted as the token.";
    SANDBOX_LAST_DUPLICATE = "sandbox-last-duplicate" breaks "hardening/duplicates": "Of several tokens the proxy checks the first and the sandbox the last.";
    ANY_DUPLICATE_OPENS = "any-duplicate-opens" breaks "hardening/duplicates": "Of several tokens in a query, any right one is accepted.";
    PARAMETER_CASE_IGNORED = "parameter-case-ignored" breaks "hardening/duplicates": "The parameter's name is compared without regard to case.";
    DOUBLE_DECODING = "double-decoding" breaks "hardening/encoding": "The query is decoded twice.";
    SANDBOX_PLUS_IS_SPACE = "sandbox-plus-is-space" breaks "hardening/encoding": "The sandbox decodes a plus as a space; the proxy doesn't.";
    STRAY_PERCENT_DROPPED = "stray-percent-dropped" breaks "hardening/encoding": "A percent sign without two hex digits is dropped.";
    OVERLONG_DECODED = "overlong-decoded" breaks "hardening/encoding": "Overlong UTF-8 sequences are decoded instead of refused.";
    CONNECTION_ERROR_ENDS_SERVER = "connection-error-ends-server" breaks "hardening/oversize": "An error on one connection ends the whole server.";
    EARLY_EXIT_COMPARE = "early-exit-compare" breaks "hardening/timing": "The comparison takes longer with each right byte at the start.";
    TRAILING_SLASH_UNCHECKED = "trailing-slash-unchecked" breaks "hardening/paths": "The terminal's path with a trailing slash bypasses the check.";
    LONGER_PATH_OPENS = "longer-path-opens" breaks "hardening/paths": "With the right token the sandbox opens the terminal on every path that begins with its own.";
    PROXY_PREFIX_IGNORED = "proxy-prefix-ignored" breaks "hardening/paths": "The proxy finds the API's path anywhere in the path, so /x/api/… opens the terminal too.";
    UPPER_CASE_PATH_UNCHECKED = "upper-case-path-unchecked" breaks "hardening/paths": "The terminal's path is routed in any case, but checked only in lower case.";
    PLAIN_GET_READS_TERMINAL = "plain-get-reads-terminal" breaks "hardening/plain-http": "A plain GET with the right token gets the terminal's screen.";
    BALANCER_UPGRADES_ALL = "balancer-upgrades-all" breaks "hardening/plain-http": "The balancer forwards every request for a terminal as an upgrade.";
    FOREIGN_ORIGIN_REFUSED = "foreign-origin-refused" breaks "hardening/origin": "An Origin that doesn't end in the server's own name is refused.";
    REFUSED_FRAMES_TYPED = "refused-frames-typed" breaks "hardening/refused-frames": "Frames sent along with a refused upgrade are typed into the terminal.";
    UNMASKED_ACCEPTED = "unmasked-accepted" breaks "hardening/frames": "Unmasked frames from a client are accepted.";
    BAD_UTF8_ACCEPTED = "bad-utf8-accepted" breaks "hardening/frames": "A text frame with invalid UTF-8 is ignored instead of ending the connection.";
    OVERSIZED_ACCEPTED = "oversized-accepted" breaks "hardening/frames": "Frames of any size are accepted.";
    FRAME_ERROR_WITHOUT_CODE = "frame-error-without-code" breaks "hardening/frames": "A broken frame ends the connection without a close frame.";
    SUBPROTOCOL_ECHOED = "subprotocol-echoed" breaks "hardening/subprotocol": "The first subprotocol offered by a client is selected.";
    TOKEN_ONCE = "token-once" breaks "hardening/sharing": "The proxy binds each token to the first session it is used on.";
    DELETION_FORGOTTEN = "deletion-forgotten" breaks "hardening/sharing": "Deleting a session is confirmed but not carried out, so its terminal still opens.";
    LOOKUP_BEFORE_CHECK = "lookup-before-check" breaks "hardening/sharing": "The proxy looks the session up before it checks the token, and so tells everybody which sessions exist.";
    TERMINAL_PER_CLIENT = "terminal-per-client" breaks "hardening/sharing": "Each client gets a terminal of its own.";
    SLOW_HEADS_KEPT = "slow-heads-kept" breaks "hardening/half-open": "A connection whose request head never ends is never closed.";
    REFUSED_CONNECTIONS_KEPT = "refused-connections-kept" breaks "hardening/half-open": "The connection of a refused upgrade is never closed.";
    TOKEN_ANSWERS_CACHEABLE = "token-answers-cacheable" breaks "hardening/caching": "Responses carry no Cache-Control.";
    SANDBOX_STORES_POSTS = "sandbox-stores-posts" breaks "hardening/endpoints": "The sandbox's POST /session needs no token and stores what it receives.";

    COOKIE_OPENS = "cookie-opens" breaks "hardening/places": "Without a token elsewhere, a cookie of that name counts as one.";
    SUBPROTOCOL_OPENS = "subprotocol-opens" breaks "hardening/places": "Without a token elsewhere, the last subprotocol offered counts as one.";
    EMPTY_TOKEN_TRIES_HEADER = "empty-token-tries-header" breaks "hardening/places": "Beside an empty token, the one in X-Auth-Token counts.";
    LOCALHOST_OPENS = "localhost-opens" breaks "hardening/host": "A request whose Host is localhost needs no token.";
    LOOPBACK_CLIENT_OPENS = "loopback-client-opens" breaks "token/refuse": "A request whose X-Forwarded-For begins with a loopback address needs no token.";
    KEEP_ALIVE_UPGRADE_REFUSED = "keep-alive-upgrade-refused" breaks "hardening/handshakes": "An upgrade is accepted only if Connection is exactly Upgrade, so Firefox is refused.";
    OUTPUT_MARKED_COMPRESSED = "output-marked-compressed" breaks "hardening/handshakes": "Output is marked as compressed for clients that offer compression, without agreeing to it.";
    API_LISTS_WITHOUT_KEY = "api-lists-without-key" breaks "hardening/api-key": "The list of sessions, with their tokens, needs no key.";
    API_TAKES_TERMINAL_TOKEN = "api-takes-terminal-token" breaks "hardening/api-key": "The session API accepts the terminals' token in place of its key.";
    HEALTH_NAMES_TOKEN = "health-names-token" breaks "leak/error-body": "The health check's answer has the token in a header.";

    // load
    LIMIT_OPENS_AND_CLOSES = "limit-opens-and-closes" breaks "load/holds": "Above 64 open terminals the sandbox answers 101 and closes with 1013 instead of refusing.";
    OUTPUT_LOST_UNDER_BACK_PRESSURE = "output-lost-under-back-pressure" breaks "load/holds": "While more than 64 terminals are open, the sandbox drops output instead of waiting for slow clients.";
    PROXY_POOL_EXHAUSTED = "proxy-pool-exhausted" breaks "load/holds": "Web has only 64 connections to sandboxes; further clients wait until one is free.";
    FAN_OUT_TO_FEW = "fan-out-to-few" breaks "load/holds": "The terminal sends new output only to its first 32 clients; the others see just the screen from when they attached.";
    CHECK_SKIPPED_WHEN_BUSY = "check-skipped-when-busy" breaks "load/refuses": "While more than 64 terminals are open, the sandbox lets everybody in.";
    DECISION_CACHED_BY_ADDRESS = "decision-cached-by-address" breaks "load/refuses": "While more than 64 terminals are open, the sandbox caches its decision on a client for its address for 200 ms.";
    TOKEN_OF_ANOTHER_CONNECTION = "token-of-another-connection" breaks "load/refuses": "The sandbox stores the request target in a place shared by all connections, and checks whatever is there a moment later.";
    START_OVERRUN_OPENS = "start-overrun-opens" breaks "load/refuses": "In its first second after replacing another web, web checks only eight upgrades and lets the others through with its own token.";
    ACCEPTED_TOKENS_INHERITED = "accepted-tokens-inherited" breaks "load/refuses": "Web hands its accepted tokens to its successor, which accepts them while more than 64 terminals are open through it.";
    REFUSED_ATTACH_LEAKS_DESCRIPTOR = "refused-attach-leaks-descriptor" breaks "load/returns": "While more than 64 terminals are open, the connection of a refused upgrade is never closed.";
}
