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
//! | `hardening/paths` | path variants are no road around the check |
//! | `hardening/plain-http` | no terminal without an upgrade |
//! | `hardening/origin` | the `Origin` header, a policy |
//! | `hardening/refused-frames` | frames sent along with a refused upgrade |
//! | `hardening/frames` | broken frames: 1002, 1007, 1009 |
//! | `hardening/subprotocol` | no subprotocol is selected that isn't listed |
//! | `hardening/sharing` | another session's path, replay, second client |
//! | `hardening/half-open` | slow heads are closed, descriptors come back |
//! | `hardening/caching` | answers that carry a token aren't stored |
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
    TOKEN_WITH_NEWLINE = "token-with-newline" breaks "token/accept": "The doors expect the token with a line's end, so the right token is refused.";
    KEYSTROKES_LOST = "keystrokes-lost" breaks "token/accept": "The sandbox swallows binary frames instead of writing them to the terminal.";
    MISSING_TOKEN_OPENS = "missing-token-opens" breaks "token/refuse": "A request without a token isn't judged at all.";
    EMPTY_TOKEN_OPENS = "empty-token-opens" breaks "token/refuse": "An empty token counts as the right one.";
    CHECK_AFTER_UPGRADE = "check-after-upgrade" breaks "token/refuse": "A wrong token gets 101 and then a close instead of 401.";
    CHECK_FIRST_CONNECT_ONLY = "check-first-connect-only" breaks "token/refuse": "Once a client was let in, the sandbox lets everybody in.";
    SANDBOX_UNCHECKED = "sandbox-unchecked" breaks "token/refuse": "Only the proxy checks the token, the sandbox trusts its network.";
    PREFIX_COMPARE = "prefix-compare" breaks "token/near-misses": "The comparison ends with the shorter of the two tokens.";
    CASE_INSENSITIVE_COMPARE = "case-insensitive-compare" breaks "token/near-misses": "Hex digits are compared without regard to case.";
    HEADER_WINS = "header-wins" breaks "token/both": "Where header and query disagree the header decides.";
    PROXY_HEADER_WINS = "proxy-header-wins" breaks "token/both": "At the proxy the header decides, at the sandbox the query does.";
    TOKEN_IN_OTHER_VARIABLE = "token-in-other-variable" breaks "token/flow": "Sandboxes get the token under another variable's name.";
    TTY_TOKEN_MADE_UP = "tty-token-made-up" breaks "token/flow": "The session API shows a token of the session's own that no door knows.";

    // bootstrap
    SEED_ONLY_WHOLE_SECRET = "seed-only-whole-secret" breaks "bootstrap/first-deploy": "The seed does nothing where the secret exists without the key.";
    SEED_WITH_NEWLINE = "seed-with-newline" breaks "bootstrap/first-deploy": "The seed stores the token with a line's end.";
    SEED_SHORT_TOKEN = "seed-short-token" breaks "bootstrap/first-deploy": "The seed makes a token of 16 bytes.";
    SEED_OVERWRITES = "seed-overwrites" breaks "bootstrap/idempotent": "The seed makes a new token at each run.";
    UNSET_TOKEN_OPENS = "unset-token-opens" breaks "bootstrap/missing": "With no token configured the doors let everybody in.";
    TTY_TOKEN_EMPTY_TEXT = "tty-token-empty-text" breaks "bootstrap/missing": "With no token configured the session API shows an empty text instead of null.";
    WEB_REMEMBERS_TOKEN = "web-remembers-token" breaks "bootstrap/seeded": "Web keeps its first token, or that there was none, in a record and prefers it after a restart.";
    WEB_FOLLOWS_SECRET = "web-follows-secret" breaks "bootstrap/seeded": "Web takes the token from the secret at each request instead of from its environment at start.";

    // warm
    WARM_CLONES_TEMPLATE = "warm-clones-template" breaks "warm/stale": "The worker makes warm pods as copies of one that is there, token and all.";
    UNSET_SANDBOX_ADOPTS_TOKEN = "unset-sandbox-adopts-token" breaks "warm/stale": "A sandbox without a token takes the first one that it is shown for its own.";
    PROXY_VOUCHES = "proxy-vouches" breaks "warm/claimed": "The sandbox lets in whom the proxy marked as checked, whatever its own token is.";

    // rotate
    NEW_SESSION_OLD_TOKEN = "new-session-old-token" breaks "rotate/new": "A new session's pod gets the token of the oldest sandbox that is there.";
    PREVIOUS_TOKEN_ACCEPTED = "previous-token-accepted" breaks "rotate/new": "Doors made after a rotation accept the previous token too.";
    PROXY_UNCHECKED = "proxy-unchecked" breaks "rotate/live": "Only the sandbox checks the token, so through the proxy the old one still opens an old session.";
    RESTART_KEEPS_TEMPLATE = "restart-keeps-template" breaks "rotate/live": "A session's restart makes the new pod from the old one's template, old token included.";
    WORKER_RECYCLES_STALE = "worker-recycles-stale" breaks "rotate/direct": "At its start the worker deletes every sandbox whose token isn't its own.";
    STOP_CUTS_TERMINALS = "stop-cuts-terminals" breaks "rotate/open": "Web drops open terminals as soon as it is asked to stop.";

    // alb
    BALANCER_KEEPS_AUTHORIZATION = "balancer-keeps-authorization" breaks "alb/strip": "The balancer leaves the Authorization header in upgrades.";
    BALANCER_STRIPS_ALWAYS = "balancer-strips-always" breaks "alb/strip": "The balancer takes the Authorization header out of ordinary requests too.";
    BALANCER_REENCODES_QUERY = "balancer-reencodes-query" breaks "alb/strip": "The balancer decodes the query and encodes it again in its own way.";
    FORWARDED_HEADER_HONOURED = "forwarded-header-honoured" breaks "alb/header": "The balancer passes the header on under another name, and the doors accept it there.";
    BALANCER_DROPS_QUERY = "balancer-drops-query" breaks "alb/query": "The balancer forwards upgrades without their query.";
    BALANCER_ONE_CREDENTIAL = "balancer-one-credential" breaks "alb/both": "The balancer drops the query token of an upgrade that has a header too.";
    PLAIN_PORT_FORWARDS = "plain-port-forwards" breaks "alb/tls": "With TLS on, the plain port still forwards.";
    PLAIN_PORT_REDIRECTS_TOKEN = "plain-port-redirects-token" breaks "alb/tls": "With TLS on, the plain port redirects with the token in the location.";
    IDLE_TIMEOUT_IGNORED = "idle-timeout-ignored" breaks "alb/idle": "The balancer never cuts a quiet connection.";
    IDLE_COUNTS_FROM_START = "idle-counts-from-start" breaks "alb/idle": "The balancer cuts a connection at its idle timeout's age, pings or not.";

    // leak
    TOKEN_IN_ACCESS_LOG = "token-in-access-log" breaks "leak/log": "The access log has the query in it.";
    TOKEN_IN_START_LOG = "token-in-start-log" breaks "leak/log": "The sandbox logs its environment, base64, when it starts.";
    TOKEN_IN_EVENT = "token-in-event" breaks "leak/event": "The worker's event about a new warm pod has the pod's environment in it.";
    TOKEN_IN_ERROR_BODY = "token-in-error-body" breaks "leak/error-body": "A refusal repeats the address that was asked for.";
    TOKEN_IN_REDIRECT = "token-in-redirect" breaks "leak/redirect": "Web redirects a doubled slash, with the query, to the clean path.";
    TOKEN_IN_ARGV = "token-in-argv" breaks "leak/process-list": "The terminal's program is started by a shell that has the token among its arguments.";

    // hardening
    TOKEN_TRIMMED = "token-trimmed" breaks "hardening/token-values": "White space and NUL around a token are taken away before it is compared.";
    UNDEFINED_OPENS = "undefined-opens" breaks "hardening/token-values": "With no token configured the text \"undefined\" is the right one.";
    SANDBOX_LAST_DUPLICATE = "sandbox-last-duplicate" breaks "hardening/duplicates": "Of several tokens the proxy judges the first and the sandbox the last.";
    ANY_DUPLICATE_OPENS = "any-duplicate-opens" breaks "hardening/duplicates": "Several tokens in a query are tried one after the other.";
    PARAMETER_CASE_IGNORED = "parameter-case-ignored" breaks "hardening/duplicates": "The parameter's name is compared without regard to case.";
    DOUBLE_DECODING = "double-decoding" breaks "hardening/encoding": "The query is decoded twice.";
    SANDBOX_PLUS_IS_SPACE = "sandbox-plus-is-space" breaks "hardening/encoding": "The sandbox decodes a plus as a space, the proxy doesn't.";
    STRAY_PERCENT_DROPPED = "stray-percent-dropped" breaks "hardening/encoding": "A percent sign without its two digits is left out.";
    OVERLONG_DECODED = "overlong-decoded" breaks "hardening/encoding": "Overlong UTF-8 is decoded to the character that it stands for.";
    CONNECTION_ERROR_ENDS_SERVER = "connection-error-ends-server" breaks "hardening/oversize": "An error on one connection ends the whole server.";
    EARLY_EXIT_COMPARE = "early-exit-compare" breaks "hardening/timing": "The comparison takes longer for each byte of the prefix that is right.";
    TRAILING_SLASH_UNCHECKED = "trailing-slash-unchecked" breaks "hardening/paths": "The terminal's path with a slash at the end goes around the check.";
    UPPER_CASE_PATH_UNCHECKED = "upper-case-path-unchecked" breaks "hardening/paths": "The terminal's path is checked in lower case only, but routed in any.";
    PLAIN_GET_READS_TERMINAL = "plain-get-reads-terminal" breaks "hardening/plain-http": "A plain GET with the right token gets the terminal's screen.";
    FOREIGN_ORIGIN_REFUSED = "foreign-origin-refused" breaks "hardening/origin": "An Origin that doesn't end in the server's own name is refused.";
    REFUSED_FRAMES_TYPED = "refused-frames-typed" breaks "hardening/refused-frames": "Frames that came along with a refused upgrade are typed into the terminal.";
    UNMASKED_ACCEPTED = "unmasked-accepted" breaks "hardening/frames": "Unmasked frames of a client are accepted.";
    BAD_UTF8_ACCEPTED = "bad-utf8-accepted" breaks "hardening/frames": "A text frame that isn't UTF-8 is passed over.";
    OVERSIZED_ACCEPTED = "oversized-accepted" breaks "hardening/frames": "Frames of any size are accepted.";
    FRAME_ERROR_WITHOUT_CODE = "frame-error-without-code" breaks "hardening/frames": "A broken frame ends the connection without a close frame.";
    SUBPROTOCOL_ECHOED = "subprotocol-echoed" breaks "hardening/subprotocol": "The first subprotocol that a client offers is selected.";
    TOKEN_ONCE = "token-once" breaks "hardening/sharing": "The proxy takes each token for one session only, the first that it was used on.";
    TERMINAL_PER_CLIENT = "terminal-per-client" breaks "hardening/sharing": "Each client gets a terminal of its own.";
    SLOW_HEADS_KEPT = "slow-heads-kept" breaks "hardening/half-open": "A connection that never finishes its request's head is never closed.";
    REFUSED_CONNECTIONS_KEPT = "refused-connections-kept" breaks "hardening/half-open": "The connection of a refused upgrade is never closed.";
    TOKEN_ANSWERS_CACHEABLE = "token-answers-cacheable" breaks "hardening/caching": "Answers carry no Cache-Control.";

    // load
    LIMIT_OPENS_AND_CLOSES = "limit-opens-and-closes" breaks "load/holds": "Above 64 open terminals the sandbox answers 101 and closes with 1013, instead of refusing.";
    OUTPUT_LOST_UNDER_BACK_PRESSURE = "output-lost-under-back-pressure" breaks "load/holds": "While more than 64 terminals are open the sandbox drops output instead of waiting until it is taken.";
    PROXY_POOL_EXHAUSTED = "proxy-pool-exhausted" breaks "load/holds": "Web has 64 connections to sandboxes, and who comes then waits until somebody leaves.";
    FAN_OUT_TO_FEW = "fan-out-to-few" breaks "load/holds": "The terminal hands what is new to the first 32 of its clients; the others see what was there when they came.";
    CHECK_SKIPPED_WHEN_BUSY = "check-skipped-when-busy" breaks "load/refuses": "While more than 64 terminals are open the sandbox lets everybody in.";
    DECISION_CACHED_BY_ADDRESS = "decision-cached-by-address" breaks "load/refuses": "While more than 64 terminals are open the sandbox's decision on one client holds for 200 ms for all of its address.";
    TOKEN_OF_ANOTHER_CONNECTION = "token-of-another-connection" breaks "load/refuses": "The sandbox keeps a request's target where all connections keep theirs, and judges what stands there a moment later.";
    START_OVERRUN_OPENS = "start-overrun-opens" breaks "load/refuses": "In the first second of a web that follows another one it judges eight upgrades; who comes above that is let through, with web's own token for the sandbox.";
    ACCEPTED_TOKENS_INHERITED = "accepted-tokens-inherited" breaks "load/refuses": "Web leaves the tokens that it accepted to the web that follows it, which lets them in while more than 64 terminals are open through it.";
    REFUSED_ATTACH_LEAKS_DESCRIPTOR = "refused-attach-leaks-descriptor" breaks "load/returns": "While more than 64 terminals are open the connection of a refused upgrade is never closed.";
}
