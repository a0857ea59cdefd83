//! Mutants of the configurations of real gateways before the agent service.

use super::Mutant;

mutants! { NGINX of "agent-service":
    NGINX_ONLY_GET_GUARDED = "nginx-only-get-guarded" breaks "role/inactive": "nginx asks access control only about GET.";
    NGINX_DECISIONS_CACHED = "nginx-decisions-cached" breaks "role/inactive": "nginx caches access control's decision by path, whoever asks next.";
    NGINX_HEALTH_NOT_ROUTED = "nginx-health-not-routed" breaks "health/open": "nginx has no route to the service's health check.";
    NGINX_CONVERSATIONS_UNGUARDED = "nginx-conversations-unguarded" breaks "ws/refused": "A separate location for conversations has no auth_request.";
    NGINX_UPGRADE_LOST = "nginx-upgrade-lost" breaks "ws/accepted": "nginx doesn't forward the hop-by-hop header Upgrade.";
    NGINX_ASKS_WITHOUT_QUERY = "nginx-asks-without-query" breaks "ws/accepted": "nginx asks access control without the query, and so without the token in it.";
    NGINX_EMAIL_NOT_SET = "nginx-email-not-set" breaks "headers/trusted": "All headers are forwarded, and one of three proxy_set_header directives is missing, so the client's x-user-email passes through.";
    NGINX_USER_ROLE_KEPT = "nginx-user-role-kept" breaks "headers/trusted": "All headers are forwarded, and only the three that access control sets are replaced, so the client's x-user-role passes through.";
    NGINX_UNDERSCORES_KEPT = "nginx-underscores-kept" breaks "headers/omitted": "underscores_in_headers is on, and x_user_id isn't removed.";
    NGINX_OTHER_HOST_UNGUARDED = "nginx-other-host-unguarded" breaks "policy/attached": "A second server block, for localhost, has no auth_request.";
    NGINX_MODELS_UNGUARDED = "nginx-models-unguarded" breaks "hardening/every-route": "A separate location for the list of models has no auth_request.";
    NGINX_UPGRADE_ONE_CASE = "nginx-upgrade-one-case" breaks "hardening/handshakes": "Only the lower-case spelling of the Upgrade header's value is taken for an upgrade.";
    NGINX_QUERY_IN_LOG = "nginx-query-in-log" breaks "leak/log": "nginx writes its access log in the default format, which contains the query.";
    NGINX_QUIET_CUT = "nginx-quiet-cut" breaks "hardening/quiet": "proxy_read_timeout is one second, for conversations too.";
    NGINX_BODY_LIMIT = "nginx-body-limit" breaks "hardening/bodies": "client_max_body_size is 64 KB.";
    NGINX_OPEN_ON_ERROR = "nginx-open-on-error" breaks "authz/down": "An error_page forwards requests to the service when access control fails.";
}

mutants! { ENVOY of "agent-service":
    ENVOY_WRONG_ROUTE = "envoy-wrong-route" breaks "policy/attached": "The policy is attached to a route other than the agents'.";
    ENVOY_HEALTH_ASKED = "envoy-health-asked" breaks "health/open": "The policy is attached to the health check's route too.";
    ENVOY_CONVERSATIONS_UNGUARDED = "envoy-conversations-unguarded" breaks "ws/refused": "The filter chain for upgrades is redefined without ext_authz.";
    ENVOY_UPGRADE_LOST = "envoy-upgrade-lost" breaks "ws/accepted": "WebSocket upgrades aren't enabled in Envoy.";
    ENVOY_USER_HEADERS_APPENDED = "envoy-user-headers-appended" breaks "headers/trusted": "Access control's user headers are appended to the client's instead of replacing them.";
    ENVOY_USER_ROLE_KEPT = "envoy-user-role-kept" breaks "headers/trusted": "Only the three headers that access control sets are removed early, so the client's x-user-role passes through.";
    ENVOY_OTHER_HOST_UNGUARDED = "envoy-other-host-unguarded" breaks "policy/attached": "A virtual host for localhost has routes without ext_authz.";
    ENVOY_MODELS_UNGUARDED = "envoy-models-unguarded" breaks "hardening/every-route": "A separate route for the list of models has ext_authz disabled.";
    ENVOY_OMITTED_KEEPS_CLIENTS = "envoy-omitted-keeps-clients" breaks "headers/omitted": "The client's user headers aren't removed before ext_authz, which replaces only the headers access control sends.";
    ENVOY_TOKEN_IN_LOG = "envoy-token-in-log" breaks "leak/log": "Envoy writes an access log with the path and the header Authorization.";
    ENVOY_QUIET_CUT = "envoy-quiet-cut" breaks "hardening/quiet": "stream_idle_timeout is one second, for conversations too.";
    ENVOY_BODY_LIMIT = "envoy-body-limit" breaks "hardening/bodies": "The buffer filter refuses bodies of more than 64 KB.";
    ENVOY_OPEN_ON_ERROR = "envoy-open-on-error" breaks "authz/down": "failure_mode_allow is on, so requests pass when access control fails.";
}
