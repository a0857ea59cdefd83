//! The paths of the agent service, as it, access control and the gateway before them know them.

use super::Pod;

pub struct Paths {
    pub agents: String,
    pub health: String,
    /// What access control is asked about stands behind it.
    pub auth: String,
}

impl Paths {
    /// Of `AGENTS_PATH`, `HEALTH_PATH` and `AUTH_PATH`; those of contract 3 where one is not given.
    pub fn new(pod: &Pod) -> Paths {
        Paths {
            agents: pod.var_or("AGENTS_PATH", "/api/agents").to_owned(),
            health: pod.var_or("HEALTH_PATH", "/api/healthcheck").to_owned(),
            auth: pod.var_or("AUTH_PATH", "/api/auth").to_owned(),
        }
    }

    /// The segments of a path below that of agents, none for that itself. By the path as it came: nothing is
    /// decoded or made shorter, so that nothing can be read in two ways.
    pub fn below_agents<'p>(&self, path: &'p str) -> Option<Vec<&'p str>> {
        match path.strip_prefix(&self.agents)? {
            "" => Some(Vec::new()),
            rest => Some(rest.strip_prefix('/')?.split('/').collect()),
        }
    }
}
