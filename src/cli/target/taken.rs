//! Whether a platform that isn't ours takes the secrets that its profile gives: asked once, before the run. With a wrong
//! one every scenario would accuse the platform.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::profile::Profile;
use crate::profile::secret_source::{Needed, SecretSource};
use crate::redact::Redactor;
use crate::steps::attach::{self, Attach};
use crate::steps::handshake::token_query;
use crate::steps::http::{Request, send};
use crate::steps::jwt::{self, Jwt};
use crate::steps::session::{self, DeleteSession, Session};
use crate::steps::{Limits, StepContext};
use crate::vocabulary::{Contract, Intrusion, Road, names};
use crate::world::installation::Installation;
use crate::world::roads::{api_road, door, path_on};
use crate::world::{Door, World};

/// Shortest token that can be told from other text, in characters.
const SHORTEST_TOKEN: usize = 16;

/// The hops that verify JWTs.
const HOPS: [Road; 5] = [
    Road::Service,
    Road::AccessControl,
    Road::Builtin,
    Road::Nginx,
    Road::Envoy,
];

/// Other names of the query parameter that a terminal or a conversation may take its token in.
const PARAMETERS: [&str; 10] = [
    "token",
    "access_token",
    "access-token",
    "accessToken",
    "jwt",
    "auth_token",
    "tty_token",
    "auth",
    "key",
    "api_key",
];

/// A secret that scenarios can't judge the platform with.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotTaken {
    #[error(
        "the token has {characters} characters, and {SHORTEST_TOKEN} are needed at least: parts of a shorter one stand \
         in any text by chance, so that neither near misses nor leaks of it can be told"
    )]
    Short { characters: usize },
    #[error("the {} from {from} isn't the platform's: {seen}; correct `secrets` in the profile", needed.name())]
    Refused {
        needed: Needed,
        from: SecretSource,
        seen: String,
    },
    #[error(
        "the platform's terminals take their token in the query parameter `{takes}`, and not in `{told}`: a new \
         session's `tty_token` opens its terminal {way} in that one alone; correct `tty.parameter` in the profile"
    )]
    Parameter {
        told: String,
        takes: &'static str,
        way: &'static str,
    },
    #[error(
        "the platform takes the token of conversations in the query parameter `{takes}`, and not in `{told}`: \
         {way}, a good one gets another answer than 401 in that one alone; correct `agents.parameter` in the profile"
    )]
    OfConversations {
        told: String,
        takes: &'static str,
        way: &'static str,
    },
}

/// The first secret for scenarios of these contracts that the platform doesn't take; none where all are, and where
/// nobody can tell. `most`: what the run may do.
pub async fn not_taken(
    installation: &Arc<Installation>,
    profile: &Profile,
    contracts: &[Contract],
    most: Intrusion,
) -> Option<NotTaken> {
    for contract in contracts {
        let Some(context) = context(installation, &profile.names, *contract).await else {
            continue;
        };
        let wrong = match contract {
            Contract::HarnessToken => terminals(&context, installation, profile, most).await,
            Contract::AgentService => agents(&context, installation).await,
            Contract::CodexAuth => None,
        };
        if wrong.is_some() {
            return wrong;
        }
    }
    None
}

async fn context(
    installation: &Arc<Installation>,
    names: &BTreeMap<String, String>,
    contract: Contract,
) -> Option<StepContext> {
    let world = World::shared(installation.clone(), Arc::new(names.clone()), contract).await;
    Some(StepContext::new(
        Arc::new(world.ok()?),
        Redactor::new(),
        Limits::of_a_cluster(),
    ))
}

async fn terminals(
    context: &StepContext,
    installation: &Installation,
    profile: &Profile,
    most: Intrusion,
) -> Option<NotTaken> {
    let characters = context.world.token.chars().count();
    if characters < SHORTEST_TOKEN {
        return Some(NotTaken::Short { characters });
    }
    let refused = |needed, seen| {
        installation.source(needed).map(|from| NotTaken::Refused {
            needed,
            from: from.clone(),
            seen,
        })
    };
    if installation.source(Needed::MasterKey).is_some()
        && let Some(seen) = key_refused(context, installation).await
    {
        return refused(Needed::MasterKey, seen);
    }
    // Where each session has a token of its own, that which is handed out tells nothing of the platform's.
    let is_of_session = profile.policies.choice("token.scope") == Some("session");
    let is_given = installation.source(Needed::Token).is_some() && !is_of_session;
    let is_renamed = is_renamed(&profile.names, "tty.parameter");
    if most < Intrusion::Use || !(is_given || is_renamed) {
        return None;
    }
    let new = Session { session: json!("new") };
    let made = session::session(new, context).await.ok()?.value;
    made["id"].as_str().filter(|id| !id.is_empty())?;
    let mut wrong = another_parameter(&made, context, installation).await;
    if wrong.is_none() && is_given {
        let seen = token_refused(&made, context, installation).await;
        wrong = seen.and_then(|seen| refused(Needed::Token, seen));
    }
    // One that could not be deleted stands in the journal.
    let _deleted = session::delete(DeleteSession { delete_session: made }, context).await;
    wrong
}

fn is_renamed(names: &BTreeMap<String, String>, name: &str) -> bool {
    names.get(name) != names::contract().get(name)
}

/// The query parameter in which a terminal takes its token, if it is another than the profile's.
async fn another_parameter(made: &Value, context: &StepContext, installation: &Installation) -> Option<NotTaken> {
    let handed_out = made["tty_token"].as_str()?;
    let road = api_road(|road| installation.has_road(road));
    let told = context.world.name("tty.parameter");
    if opens(made, &token_query(told, handed_out), road, context).await? {
        return None;
    }
    for takes in PARAMETERS.into_iter().filter(|other| *other != told) {
        if opens(made, &token_query(takes, handed_out), road, context).await? {
            let (told, way) = (told.to_owned(), road.by());
            return Some(NotTaken::Parameter { told, takes, way });
        }
    }
    None
}

/// How the session API refuses its key, if it does.
async fn key_refused(context: &StepContext, installation: &Installation) -> Option<String> {
    let road = api_road(|road| installation.has_road(road));
    let path = format!("{}/agents", context.world.name("api.path"));
    let door = door(&context.world, road, None).await.ok()?;
    match status(&door, &path, Some(&context.world.master_key), context).await? {
        status @ (401 | 403) => Some(format!("the session API answered {status} to GET {path}")),
        _ => None,
    }
}

/// How a terminal shows that another token than the given one is the platform's, if it does.
async fn token_refused(made: &Value, context: &StepContext, installation: &Installation) -> Option<String> {
    let (given, handed_out) = (context.world.token.as_str(), made["tty_token"].as_str()?);
    let road = api_road(|road| installation.has_road(road));
    let query = |token: &str| token_query(context.world.name("tty.parameter"), token);
    let another = given != handed_out
        && !opens(made, &query(given), road, context).await?
        && opens(made, &query(handed_out), road, context).await?;
    another.then(|| {
        format!(
            "a new session's terminal refuses it {} and opens with its `tty_token`",
            road.by()
        )
    })
}

async fn opens(made: &Value, query: &str, road: Road, context: &StepContext) -> Option<bool> {
    let attach = Attach {
        attach: made.clone(),
        road: Some(road),
        token: None,
        query: Some(query.to_owned()),
        path: None,
        authorization: None,
        headers: None,
        eager: None,
        times: None,
    };
    let seen = attach::run(attach, context, false).await.ok()?;
    seen.value["opened"].as_bool()
}

/// Every hop that there is refuses a token that is signed with the given secret.
async fn agents(context: &StepContext, installation: &Installation) -> Option<NotTaken> {
    let good = Jwt {
        jwt: json!("REGULAR"),
        ..Jwt::default()
    };
    let made = jwt::run(good, context).await.ok()?.value;
    let token = made["token"].as_str()?;
    if is_renamed(&context.world.names, "agents.parameter")
        && let Some(wrong) = another_of_conversations(token, context, installation).await
    {
        return Some(wrong);
    }
    let from = installation.source(Needed::JwtSecret)?;
    let path = context.world.name("agents.path");
    let mut refused = Vec::new();
    for road in HOPS.into_iter().filter(|road| installation.has_road(*road)) {
        let door = door(&context.world, road, None).await.ok()?;
        match status(&door, &path_on(&context.world, road, path), Some(token), context).await? {
            401 => refused.push(road.by()),
            _ => return None,
        }
    }
    (!refused.is_empty()).then(|| NotTaken::Refused {
        needed: Needed::JwtSecret,
        from: from.clone(),
        seen: format!(
            "a token signed with it gets 401 to GET {path} {}",
            refused.join(" and ")
        ),
    })
}

/// The query parameter in which access control takes a conversation's token, if it is another than the profile's. Without
/// an upgrade no conversation begins.
async fn another_of_conversations(token: &str, context: &StepContext, installation: &Installation) -> Option<NotTaken> {
    let world = &context.world;
    let told = world.name("agents.parameter");
    let path = format!("{}/gauntlet/react", world.name("agents.path"));
    let asked = HOPS.into_iter().filter(|road| *road != Road::Service);
    for road in asked.filter(|road| installation.has_road(*road)) {
        let door = door(world, road, None).await.ok()?;
        let target = |parameter: &str| path_on(world, road, &format!("{path}?{}", token_query(parameter, token)));
        if status(&door, &target(told), None, context).await? != 401 {
            return None;
        }
        for takes in PARAMETERS.into_iter().filter(|other| *other != told) {
            if status(&door, &target(takes), None, context).await? != 401 {
                let (told, way) = (told.to_owned(), road.by());
                return Some(NotTaken::OfConversations { told, takes, way });
            }
        }
    }
    None
}

/// What a GET, with this bearer if any, is answered with; none if it isn't.
async fn status(door: &Door, path: &str, bearer: Option<&str>, context: &StepContext) -> Option<u64> {
    let mut request = Request::new("GET", path);
    if let Some(bearer) = bearer {
        let value = http::HeaderValue::from_str(&format!("Bearer {bearer}")).ok()?;
        request.headers.push((http::header::AUTHORIZATION, value));
    }
    let title = "ask whether a secret of the profile is taken";
    let answer = send(request, context.limits.answer, door, None, context, title).await;
    answer.ok()?["status"].as_u64()
}
