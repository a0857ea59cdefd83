//! Mutants of the codex login that lives inside the cluster.
//!
//! Those of the manifests have no place in a component: `deploy/codex-auth.yaml` reads their names from its
//! variable `mutants`.

use super::Mutant;

mutants! { CODEX_AUTH of "codex-auth":
    // pod: the first two are the manifest's
    CODEX_CLI_IS_INIT_CONTAINER = "codex-cli-is-init-container" breaks "pod/shape": "codex-cli, which never ends, is an init container: the pod stays at Init:1/2 (manifest).";
    CODEX_CLI_IN_BOTH_LISTS = "codex-cli-in-both-lists" breaks "pod/shape": "codex-cli stands among the containers and, ending at once, among the init containers too (manifest).";
    CODEX_NOT_INSTALLED = "codex-not-installed" breaks "pod/codex-installed": "codex-cli idles without having put codex where exec finds it.";
    READINESS_NEEDS_LOGIN = "readiness-needs-login" breaks "pod/no-login-boots": "LiteLLM is ready only when auth.json has a login that is good.";
    SEED_NEEDS_LOGIN = "seed-needs-login" breaks "pod/no-login-boots": "The init container fails where no login is there yet.";

    // login
    LOGIN_TALKS_LATE = "login-talks-late" breaks "login/writes": "The login script shows what codex says only when codex has ended.";
    LOGIN_STAYS_AT_HOME = "login-stays-at-home" breaks "login/writes": "The login script leaves the login in its own home, which goes away with it.";
    ROTATOR_WITHOUT_VOLUME = "rotator-without-volume" breaks "login/writes": "One of the containers doesn't mount the volume (manifest).";
    LOGIN_FILE_FOR_ALL = "login-file-for-all" breaks "login/mode": "The login's file is one that everybody may read.";
    LOGIN_CLEARS_FIRST = "login-clears-first" breaks "login/fails": "The login script removes the old login before the new one is made.";
    LOGIN_TAKES_FOUR = "login-takes-four" breaks "login/fails": "Any number is an account's, also 4.";
    LOGIN_TAKES_PATHS = "login-takes-paths" breaks "login/fails": "Of a word that is no number the part behind the last slash goes into the file's name: x of ../x.";
    LOGIN_WITHOUT_NUMBER = "login-without-number" breaks "login/fails": "Without a number the account is 1.";
    LOGIN_ALWAYS_SUCCEEDS = "login-always-succeeds" breaks "login/fails": "The login script ends with 0 whatever codex ended with.";
    LOGIN_WRITES_EMPTY = "login-writes-empty" breaks "login/fails": "What codex left is taken for a login without a look, also where it is nothing.";
    VENDOR_BINDS_NOTHING = "vendor-binds-nothing" breaks "login/bound": "The identity provider lets a login be used from anywhere, which the real one doesn't.";

    // rotate
    FIRST_AFTER_INTERVAL = "first-after-interval" breaks "rotate/first": "The rotator waits an interval before it takes the first account.";
    ENV_BEATS_FILES = "env-beats-files" breaks "rotate/prefers-files": "Tokens of the environment are taken also where there are files.";
    NO_ENV_FALLBACK = "no-env-fallback" breaks "rotate/prefers-files": "Tokens of the environment are never taken.";
    ENV_FILLS_GAPS = "env-fills-gaps" breaks "rotate/prefers-files": "An account without a file is taken from the environment though another has one.";
    INTERVAL_IGNORED = "interval-ignored" breaks "rotate/cycle": "The rotator takes the next account at each poll.";
    NEVER_ROTATES = "never-rotates" breaks "rotate/cycle": "The interval passes, and the account stays.";
    NEVER_CYCLES_BACK = "never-cycles-back" breaks "rotate/cycle": "Behind the last account there is no first one.";
    ORDER_REVERSED = "order-reversed" breaks "rotate/cycle": "The accounts come as 1, 3, 2.";
    EXPIRED_ROTATED_TO = "expired-rotated-to" breaks "rotate/cycle": "A login that has expired and can't be refreshed gets its turn.";
    UNREADABLE_STOPS_ROTATION = "unreadable-stops-rotation" breaks "rotate/cycle": "A login file that can't be read ends the turn of all.";
    AUTH_JSON_IN_PLACE = "auth-json-in-place" breaks "rotate/atomic": "auth.json is emptied and written anew, not replaced.";
    AUTH_JSON_REMOVED_FIRST = "auth-json-removed-first" breaks "rotate/atomic": "auth.json is removed before the new one gets its name.";
    AUTH_JSON_FOR_ALL = "auth-json-for-all" breaks "rotate/atomic": "auth.json is a file that everybody may read.";
    FLAT_UNREAD = "flat-unread" breaks "rotate/shapes": "A login whose tokens stand at the top isn't read.";
    NESTED_UNREAD = "nested-unread" breaks "rotate/shapes": "A login as the codex CLI writes it isn't read.";

    // signal
    SIGNAL_IGNORED = "signal-ignored" breaks "signal/fresh": "The rotator doesn't look for rotate-now.";
    SIGNAL_NEVER_SENT = "signal-never-sent" breaks "signal/fresh": "LiteLLM's callback keeps a 429 to itself.";
    SIGNAL_KEPT = "signal-kept" breaks "signal/fresh": "rotate-now stays, and rotates at each poll.";
    STALE_SIGNAL_ROTATES = "stale-signal-rotates" breaks "signal/stale": "The age of rotate-now isn't looked at.";
    STALE_SIGNAL_KEPT = "stale-signal-kept" breaks "signal/stale": "A stale rotate-now is left lying.";
    GARBAGE_ROTATES = "garbage-rotates" breaks "signal/garbage": "That rotate-now is there is enough: what it says isn't read.";
    GARBAGE_CRASHES = "garbage-crashes" breaks "signal/garbage": "A rotate-now that can't be read ends the rotator.";
    GARBAGE_KEPT = "garbage-kept" breaks "signal/garbage": "A rotate-now that can't be read is left lying.";
    OTHER_MODELS_SIGNAL = "other-models-signal" breaks "signal/other-model": "LiteLLM's callback writes rotate-now at any model's 429.";
    KINDS_SWAPPED = "kinds-swapped" breaks "signal/kinds": "A transient 429 parks for hours, and a usage cap for minutes.";
    PARKED_FOR_EVER = "parked-for-ever" breaks "signal/kinds": "A parked account never comes back.";
    PARKS_THE_NEXT = "parks-the-next" breaks "signal/parks-the-right-one": "The account that is rotated to is parked, not the one that was in use.";
    ALL_PARKED_TAKES_NONE = "all-parked-takes-none" breaks "signal/all-parked": "Where all accounts are parked none is used, and auth.json goes.";
    ALL_PARKED_TAKES_LATEST = "all-parked-takes-latest" breaks "signal/all-parked": "Where all accounts are parked the one is used that has just been.";

    // refresh
    REFRESH_FORGOTTEN = "refresh-forgotten" breaks "refresh/once": "An expired login is dead, though it has a refresh token.";
    REFRESH_NOT_WRITTEN_BACK = "refresh-not-written-back" breaks "refresh/once": "The refreshed pair goes into auth.json, and the login's file keeps the spent one.";
    REFRESH_UNLOCKED = "refresh-unlocked" breaks "refresh/once": "Two refreshes of one login run at once, with the same refresh token.";

    // restart and persistence: the last three are the manifest's
    STATE_FORGOTTEN = "state-forgotten" breaks "restart/state": "The rotator begins at account 1 whatever its state says.";
    SEED_CLEARS_LOGINS = "seed-clears-logins" breaks "persist/pvc": "The init container makes the folder ready by emptying it.";
    EMPTYDIR_WITH_PERSISTENCE = "emptydir-with-persistence" breaks "persist/pvc": "With persistence on the volume is an emptyDir all the same (manifest).";
    CLAIM_WITHOUT_PERSISTENCE = "claim-without-persistence" breaks "persist/emptydir": "With persistence off the volume is a claim all the same (manifest).";
    ROLLING_WITH_CLAIM = "rolling-with-claim" breaks "strategy/recreate": "With a claim that one node may mount the Deployment still rolls (manifest).";

    // model
    LITELLM_CACHES_LOGIN = "litellm-caches-login" breaks "model/reply": "LiteLLM reads auth.json at the first call, and never again.";
    LITELLM_FALLS_BACK = "litellm-falls-back" breaks "model/reply": "Where the vendor gives no answer another model does.";

    // agent
    AGENT_CONFIG_KEPT = "agent-config-kept" breaks "agent/config": "The agent writes config.toml only where there is none.";
    RUNTIME_TOKEN_KEPT = "runtime-token-kept" breaks "agent/config": "The agent writes its runtime token only where there is none.";
    AGENT_KEY_REQUIRED = "agent-key-required" breaks "agent/no-key": "The secret with the agent's key isn't optional (manifest).";
    AGENT_NO_WARNING = "agent-no-warning" breaks "agent/no-key": "An agent without a key says nothing of it.";
    AGENT_ENV_KEY_WRONG = "agent-env-key-wrong" breaks "agent/key": "config.toml names OPENAI_API_KEY, where no key is.";
    AGENT_WAITS_FOR_AUTH_JSON = "agent-waits-for-auth-json" breaks "agent/no-auth-json": "The agent boots only when there is a .codex/auth.json.";
    AGENT_CALLS_VENDOR = "agent-calls-vendor" breaks "agent/route": "config.toml sends calls to the vendor, past LiteLLM.";
    AGENT_USES_MASTER_KEY = "agent-uses-master-key" breaks "agent/forbidden": "The agent's key is LiteLLM's master key (manifest).";
    UNKNOWN_KEY_PASSES = "unknown-key-passes" breaks "agent/forbidden": "LiteLLM takes any key that looks like one.";
    MODEL_OF_KEY_UNCHECKED = "model-of-key-unchecked" breaks "agent/forbidden": "A virtual key may use every model.";
    EXPIRED_KEY_PASSES = "expired-key-passes" breaks "agent/forbidden": "LiteLLM doesn't look at a key's expiry or at whether it is blocked.";

    // leak
    LOGIN_TOKEN_IN_LOG = "login-token-in-log" breaks "leak/log": "The rotator logs the login that it takes.";
    LOGIN_TOKEN_IN_STATE = "login-token-in-state" breaks "leak/state": "The rotator keeps the tokens in its state.";
    KEY_IN_CONFIG = "key-in-config" breaks "leak/config": "The agent writes its key into config.toml.";
}
