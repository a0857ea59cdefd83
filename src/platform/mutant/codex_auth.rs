//! Mutants of the codex login that lives inside the cluster.
//!
//! Those of the manifests have no place in a component: `deploy/codex-auth.yaml` reads their names from its
//! variable `mutants`.

use super::Mutant;

mutants! { CODEX_AUTH of "codex-auth":
    // pod: the first two are the manifest's
    CODEX_CLI_IS_INIT_CONTAINER = "codex-cli-is-init-container" breaks "pod/shape": "codex-cli, which never ends, is an init container, so the pod stays at Init:1/2 (manifest).";
    CODEX_CLI_IN_BOTH_LISTS = "codex-cli-in-both-lists" breaks "pod/shape": "codex-cli is listed among the containers and, ending at once, also among the init containers (manifest).";
    CODEX_NOT_INSTALLED = "codex-not-installed" breaks "pod/codex-installed": "codex-cli idles without installing codex where exec finds it.";
    READINESS_NEEDS_LOGIN = "readiness-needs-login" breaks "pod/no-login-boots": "LiteLLM becomes ready only when auth.json contains a valid login.";
    SEED_NEEDS_LOGIN = "seed-needs-login" breaks "pod/no-login-boots": "The init container fails if there is no login yet.";

    // login
    LOGIN_TALKS_LATE = "login-talks-late" breaks "login/writes": "The login script shows codex's output only after codex has ended.";
    LOGIN_STAYS_AT_HOME = "login-stays-at-home" breaks "login/writes": "The login script leaves the login in its temporary home, which is deleted with it.";
    ROTATOR_WITHOUT_VOLUME = "rotator-without-volume" breaks "login/writes": "One of the containers doesn't mount the volume (manifest).";
    LOGIN_FILE_FOR_ALL = "login-file-for-all" breaks "login/mode": "The login's file is readable by everybody.";
    LOGIN_CLEARS_FIRST = "login-clears-first" breaks "login/fails": "The login script removes the old login before the new one is complete.";
    LOGIN_TAKES_FOUR = "login-takes-four" breaks "login/fails": "The login script accepts any account number, such as 4.";
    LOGIN_TAKES_PATHS = "login-takes-paths" breaks "login/fails": "The login script accepts an account that isn't a number, and uses the part after its last slash as the file name: x of ../x.";
    LOGIN_WITHOUT_NUMBER = "login-without-number" breaks "login/fails": "Without a number the login script assumes account 1.";
    LOGIN_ALWAYS_SUCCEEDS = "login-always-succeeds" breaks "login/fails": "The login script exits with 0 whatever codex's exit code.";
    LOGIN_WRITES_EMPTY = "login-writes-empty" breaks "login/fails": "The login script accepts codex's output file unchecked, even if it is empty.";
    VENDOR_BINDS_NOTHING = "vendor-binds-nothing" breaks "login/bound": "The identity provider lets a login be used from anywhere, unlike the real one.";

    // rotate
    FIRST_AFTER_INTERVAL = "first-after-interval" breaks "rotate/first": "The rotator waits one interval before it activates the first account.";
    ENV_BEATS_FILES = "env-beats-files" breaks "rotate/prefers-files": "Tokens from the environment are used even if login files exist.";
    NO_ENV_FALLBACK = "no-env-fallback" breaks "rotate/prefers-files": "Tokens from the environment are never used.";
    ENV_FILLS_GAPS = "env-fills-gaps" breaks "rotate/prefers-files": "An account without a file is taken from the environment although another account has a file.";
    INTERVAL_IGNORED = "interval-ignored" breaks "rotate/cycle": "The rotator switches accounts at every poll.";
    NEVER_ROTATES = "never-rotates" breaks "rotate/cycle": "The rotator never switches accounts, even after the interval.";
    NEVER_CYCLES_BACK = "never-cycles-back" breaks "rotate/cycle": "After the last account the rotator doesn't return to the first.";
    ORDER_REVERSED = "order-reversed" breaks "rotate/cycle": "The accounts take turns as 1, 3, 2.";
    EXPIRED_ROTATED_TO = "expired-rotated-to" breaks "rotate/cycle": "The rotator activates a login that has expired and can't be refreshed.";
    UNREADABLE_STOPS_ROTATION = "unreadable-stops-rotation" breaks "rotate/cycle": "An unreadable login file stops the rotation.";
    AUTH_JSON_IN_PLACE = "auth-json-in-place" breaks "rotate/atomic": "auth.json is truncated and rewritten in place instead of replaced.";
    AUTH_JSON_REMOVED_FIRST = "auth-json-removed-first" breaks "rotate/atomic": "auth.json is removed before the new file is renamed into place.";
    AUTH_JSON_FOR_ALL = "auth-json-for-all" breaks "rotate/atomic": "auth.json is readable by everybody.";
    FLAT_UNREAD = "flat-unread" breaks "rotate/shapes": "A login in the flat format isn't read.";
    NESTED_UNREAD = "nested-unread" breaks "rotate/shapes": "A login in the codex CLI's format isn't read.";

    // signal
    SIGNAL_IGNORED = "signal-ignored" breaks "signal/fresh": "The rotator doesn't look for rotate-now.";
    SIGNAL_NEVER_SENT = "signal-never-sent" breaks "signal/fresh": "LiteLLM's callback doesn't signal a 429.";
    SIGNAL_KEPT = "signal-kept" breaks "signal/fresh": "rotate-now is never removed, and rotates at every poll.";
    STALE_SIGNAL_ROTATES = "stale-signal-rotates" breaks "signal/stale": "The age of rotate-now is ignored.";
    STALE_SIGNAL_KEPT = "stale-signal-kept" breaks "signal/stale": "A stale rotate-now isn't removed.";
    SIGNAL_AGE_HALVED = "signal-age-halved" breaks "signal/stale": "A signal is stale after half of the declared time.";
    SIGNAL_AGE_DOUBLED = "signal-age-doubled" breaks "signal/stale": "A signal is stale only after twice the declared time.";
    GARBAGE_ROTATES = "garbage-rotates" breaks "signal/garbage": "Any rotate-now rotates, whatever it contains.";
    GARBAGE_CRASHES = "garbage-crashes" breaks "signal/garbage": "An unreadable rotate-now ends the rotator.";
    GARBAGE_KEPT = "garbage-kept" breaks "signal/garbage": "An unreadable rotate-now isn't removed.";
    OTHER_MODELS_SIGNAL = "other-models-signal" breaks "signal/other-model": "LiteLLM's callback writes rotate-now on any model's 429.";
    KINDS_SWAPPED = "kinds-swapped" breaks "signal/kinds": "A transient 429 parks an account for hours, and a usage cap for minutes.";
    PARKED_FOR_EVER = "parked-for-ever" breaks "signal/kinds": "A parked account is never used again.";
    PARKS_THE_NEXT = "parks-the-next" breaks "signal/parks-the-right-one": "The next account is parked instead of the one in use.";
    ALL_PARKED_TAKES_NONE = "all-parked-takes-none" breaks "signal/all-parked": "When all accounts are parked, none is used and auth.json is removed.";
    ALL_PARKED_TAKES_LATEST = "all-parked-takes-latest" breaks "signal/all-parked": "When all accounts are parked, the one parked last is used.";

    // refresh
    REFRESH_FORGOTTEN = "refresh-forgotten" breaks "refresh/once": "An expired login counts as dead even if it has a refresh token.";
    REFRESH_NOT_WRITTEN_BACK = "refresh-not-written-back" breaks "refresh/once": "Refreshed tokens are written to auth.json, but the login's file keeps the spent refresh token.";
    REFRESH_UNLOCKED = "refresh-unlocked" breaks "refresh/once": "Two refreshes of one login run concurrently with the same refresh token.";
    ENV_NEVER_REFRESHED = "env-never-refreshed" breaks "refresh/once": "A login from the environment is never refreshed.";
    ENV_REFRESH_NOT_KEPT = "env-refresh-not-kept" breaks "refresh/once": "The refreshed tokens of a login from the environment are kept only in memory, so a restart uses the spent refresh token.";
    REVOKED_STILL_USED = "revoked-still-used" breaks "refresh/revoked": "A login is used although the identity provider has refused its refresh token.";
    REFUSED_TOKEN_IN_LOG = "refused-token-in-log" breaks "refresh/revoked": "The log of a refused refresh contains the refresh token.";
    PROVIDER_FAILURE_IS_FINAL = "provider-failure-is-final" breaks "refresh/provider": "A login isn't refreshed again once the identity provider has failed to answer.";
    REFRESH_HOLDS_UP = "refresh-holds-up" breaks "refresh/provider": "The rotator waits for the identity provider's answer before it looks at anything else.";

    // restart and persistence: the last three are the manifest's
    STATE_FORGOTTEN = "state-forgotten" breaks "restart/state": "The rotator starts at account 1, whatever its saved state.";
    SEED_CLEARS_LOGINS = "seed-clears-logins" breaks "persist/pvc": "The init container empties the folder instead of only preparing it.";
    EMPTYDIR_WITH_PERSISTENCE = "emptydir-with-persistence" breaks "persist/pvc": "The volume is an emptyDir even with persistence on (manifest).";
    CLAIM_WITHOUT_PERSISTENCE = "claim-without-persistence" breaks "persist/emptydir": "The volume is a claim even with persistence off (manifest).";
    ROLLING_WITH_CLAIM = "rolling-with-claim" breaks "strategy/recreate": "The Deployment still rolls with a claim that only one node can mount (manifest).";

    // model
    LITELLM_CACHES_LOGIN = "litellm-caches-login" breaks "model/reply": "LiteLLM reads auth.json only at the first call.";
    LITELLM_FALLS_BACK = "litellm-falls-back" breaks "model/reply": "When the vendor doesn't answer, LiteLLM uses another model.";

    // agent
    AGENT_CONFIG_KEPT = "agent-config-kept" breaks "agent/config": "The agent writes config.toml only if it doesn't exist.";
    RUNTIME_TOKEN_KEPT = "runtime-token-kept" breaks "agent/config": "The agent writes its runtime token only if it doesn't exist.";
    AGENT_KEY_REQUIRED = "agent-key-required" breaks "agent/no-key": "The secret with the agent's key isn't optional (manifest).";
    AGENT_NO_WARNING = "agent-no-warning" breaks "agent/no-key": "An agent without a key doesn't warn about it.";
    AGENT_TOKEN_OPTIONAL = "agent-token-optional" breaks "agent/token": "The secret with the runtime token is optional, and the agent starts without it (manifest).";
    AGENT_ENV_KEY_WRONG = "agent-env-key-wrong" breaks "agent/key": "config.toml names OPENAI_API_KEY, which holds no key.";
    AGENT_WAITS_FOR_AUTH_JSON = "agent-waits-for-auth-json" breaks "agent/no-auth-json": "The agent boots only once .codex/auth.json exists.";
    AGENT_CALLS_VENDOR = "agent-calls-vendor" breaks "agent/route": "config.toml sends calls directly to the vendor, bypassing LiteLLM.";
    AGENT_USES_MASTER_KEY = "agent-uses-master-key" breaks "agent/forbidden": "The agent's key is LiteLLM's master key (manifest).";
    UNKNOWN_KEY_PASSES = "unknown-key-passes" breaks "agent/forbidden": "LiteLLM accepts any key that looks like one.";
    MODEL_OF_KEY_UNCHECKED = "model-of-key-unchecked" breaks "agent/forbidden": "A virtual key may use every model.";
    EXPIRED_KEY_PASSES = "expired-key-passes" breaks "agent/forbidden": "LiteLLM ignores that a key has expired.";
    BLOCKED_KEY_PASSES = "blocked-key-passes" breaks "agent/forbidden": "LiteLLM ignores that a key is blocked.";
    BUDGET_IGNORED = "budget-ignored" breaks "agent/forbidden": "LiteLLM ignores a key's budget.";

    // leak
    LOGIN_TOKEN_IN_LOG = "login-token-in-log" breaks "leak/log": "The rotator logs the login that it activates.";
    LOGIN_TOKEN_IN_STATE = "login-token-in-state" breaks "leak/state": "The rotator's state contains the tokens.";
    KEY_IN_CONFIG = "key-in-config" breaks "leak/config": "The agent writes its key into config.toml.";
}
