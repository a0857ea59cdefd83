//! Mutants of the configurations of real gateways before the agent service.

use super::Mutant;

mutants! { NGINX of "agent-service":
    NGINX_ONLY_GET_GUARDED = "nginx-only-get-guarded" breaks "role/inactive": "nginx asks access control about GET only.";
    NGINX_DECISIONS_CACHED = "nginx-decisions-cached" breaks "role/inactive": "nginx keeps what access control said of a path, for whoever comes next.";
    NGINX_HEALTH_NOT_ROUTED = "nginx-health-not-routed" breaks "health/open": "nginx knows no way to the service's health.";
    NGINX_CONVERSATIONS_UNGUARDED = "nginx-conversations-unguarded" breaks "ws/refused": "A location of its own for conversations has no auth_request.";
    NGINX_UPGRADE_LOST = "nginx-upgrade-lost" breaks "ws/accepted": "nginx doesn't forward Upgrade, which is a header of one hop.";
    NGINX_ASKS_WITHOUT_QUERY = "nginx-asks-without-query" breaks "ws/accepted": "nginx asks access control about the path alone, without the token in the query.";
    NGINX_EMAIL_NOT_SET = "nginx-email-not-set" breaks "headers/trusted": "One proxy_set_header of the three is forgotten: the client's own goes through.";
    NGINX_UNDERSCORES_KEPT = "nginx-underscores-kept" breaks "headers/omitted": "underscores_in_headers is on, and nothing takes x_user_id away.";
    NGINX_OPEN_ON_ERROR = "nginx-open-on-error" breaks "authz/down": "An error_page sends what access control couldn't judge to the service.";
}

mutants! { ENVOY of "agent-service":
    ENVOY_WRONG_ROUTE = "envoy-wrong-route" breaks "policy/attached": "The policy is attached to another route than that of the agents.";
    ENVOY_HEALTH_ASKED = "envoy-health-asked" breaks "health/open": "The policy is attached to the route of the service's health as well.";
    ENVOY_CONVERSATIONS_UNGUARDED = "envoy-conversations-unguarded" breaks "ws/refused": "The filters of upgrades are given anew, without ext_authz.";
    ENVOY_UPGRADE_LOST = "envoy-upgrade-lost" breaks "ws/accepted": "Envoy is told of no upgrade to WebSocket.";
    ENVOY_USER_HEADERS_APPENDED = "envoy-user-headers-appended" breaks "headers/trusted": "What access control says is appended to what the client says of itself.";
    ENVOY_OMITTED_KEEPS_CLIENTS = "envoy-omitted-keeps-clients" breaks "headers/omitted": "Nothing takes the client's headers away before ext_authz, which only replaces what access control sends.";
    ENVOY_OPEN_ON_ERROR = "envoy-open-on-error" breaks "authz/down": "failure_mode_allow is on.";
}
