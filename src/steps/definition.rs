//! What makes a verb: all that the rest of gauntlet has to know of one stands in its [`Verb`], in the verb's own file.

use futures_util::future::BoxFuture;
use schemars::{Schema, SchemaGenerator};
use serde_json::Value;

use super::context::StepContext;
use super::observation::{Observation, StepError};
use crate::vocabulary::Intrusion;
use crate::world::access::Ask;
use crate::yaml::checker::Checker;
use crate::yaml::node::Node;

/// What a scenario calls the value of `Host` on a step's road: the variable `${authority}`.
pub const AUTHORITY: &str = "authority";

/// A verb of the scenario language.
pub struct Verb {
    /// The key that makes a step this verb's: `attach`.
    pub name: &'static str,
    /// The schema of the verb's own keys, `name` among them.
    pub schema: fn(&mut SchemaGenerator) -> Schema,
    /// What can be expected in words; `<status>` stands for a number, several by `or`.
    pub phrases: &'static [Phrase],
    /// The phrase that must hold where a step expects nothing: set-up that failed is an error.
    pub default_given: Option<&'static str>,
    /// The fields of its observation that predicates can name, first parts of their paths.
    pub fields: &'static [&'static str],
    /// Those of them that are objects, whatever comes.
    pub objects: &'static [&'static str],
    /// The keys that take an object as it is. The schema, which is made when it is first looked at, says the same of
    /// them.
    pub takes_objects: &'static [&'static str],
    /// The key whose value, where it is a list of pods, makes the step run once for each of them.
    pub each: Option<&'static str>,
    /// Whether its own key may be a variable with a list of texts, as `${routes}`: the step runs once for each of them.
    pub takes_list: bool,
    /// The key that says its road, where it has one.
    pub road: &'static str,
    /// Whether `${door}` in its keys is the path of the terminal's door on its road, and `${authority}` what `Host` is
    /// there.
    pub has_door: bool,
    /// What it goes through to the platform.
    pub reach: Reach,
    /// The least that a step with these keys does to a platform.
    pub intrusion: fn(keys: &Value) -> Intrusion,
    /// Whether a step with these keys sees what others do on the same platform: it wants one that nobody else works on.
    pub sees_others: fn(keys: &Value) -> bool,
    /// What a step with these keys needs beside what it goes through.
    pub needs: fn(keys: &Value) -> &'static [Need],
    /// Whether it observes pods: a step about them goes straight to them where it says no road.
    pub gives_pods: bool,
    /// Whether it reads files of logs that the profile names: where there are some, it needs none of pods.
    pub reads_log_files: bool,
    /// Whether it changes the Secret that its own key names.
    pub changes_secret: bool,
    /// What shows that it could have found something, where that it found nothing is judged.
    pub proof: Option<Proof>,
    /// The field of its observation that says in words why it is as it is.
    pub reasons: Option<&'static str>,
    /// How a person sees again what its step saw.
    pub shown_again: ShownAgain,
    /// Looks for mistakes that no schema tells of.
    pub(crate) check: Option<Check>,
    /// Carries it out. `keep`: the observation is bound, so what it opened stays open.
    pub run: Run,
}

/// A phrase of a verb and what it says of the observation.
pub struct Phrase {
    /// `refused <status>`: `<status>` stands for a number, or several joined by `or`;
    /// `<text>` for the rest of the phrase.
    pub pattern: &'static str,
    /// What it means, for the schema's and the documentation's reader.
    pub meaning: &'static str,
    /// The predicates by field, as they would stand in a scenario file. A string
    /// operand `<status>` or `<text>` is replaced by what stood in the phrase.
    pub fields: fn() -> Value,
}

/// What a verb goes through to the platform.
#[derive(Clone, Copy)]
pub enum Reach {
    /// Nothing: it is about what is here, as a terminal that is open.
    Open,
    /// The session API.
    Api,
    /// A door, by the road that the step says. Where it says none it is `proxy`, or `direct` where the
    /// value of this key is a pod.
    Door { subject: Option<&'static str> },
    /// The cluster's own API. Gets the step's keys, templates in them.
    Cluster(fn(keys: &Value) -> Vec<Ask>),
}

/// What not every platform has for a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Somebody who finishes it in a browser.
    Person,
    /// Leave to press Enter in a terminal.
    Enter,
    /// The secret that JWTs are signed with.
    JwtSecret,
}

/// That nothing was found says nothing where nothing could be read.
#[derive(Clone, Copy)]
pub struct Proof {
    /// The field of its observation that lists what was found.
    pub field: &'static str,
    /// The key that says what must stand there.
    pub key: &'static str,
}

/// How a person sees again what a step saw.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum ShownAgain {
    /// With the last request, made once more.
    Request,
    /// In the lines of logs where it found something: the last request before it was well answered.
    LinesFound,
}

/// Reports what is wrong with a step as it stands in the file, before the steps that come later.
pub(crate) type Check = fn(step: &Node, later: &[&Node], checker: &mut Checker);

/// Carries out a verb with its keys, templates filled in.
pub type Run = for<'a> fn(keys: Value, context: &'a StepContext, keep: bool) -> Carried<'a>;

/// What comes of carrying out a verb.
pub type Carried<'a> = BoxFuture<'a, Result<Observation, StepError>>;

impl Verb {
    /// A verb that only looks, shows nothing, and needs nothing: what else there is to it is said beside.
    pub(super) const fn new(name: &'static str, schema: fn(&mut SchemaGenerator) -> Schema, run: Run) -> Verb {
        Verb {
            name,
            schema,
            phrases: &[],
            default_given: None,
            fields: &[],
            objects: &[],
            takes_objects: &[],
            each: None,
            takes_list: false,
            road: "road",
            has_door: false,
            reach: Reach::Open,
            intrusion: |_| Intrusion::Observe,
            sees_others: |_| false,
            needs: |_| &[],
            gives_pods: false,
            reads_log_files: false,
            changes_secret: false,
            proof: None,
            reasons: None,
            shown_again: ShownAgain::Request,
            check: None,
            run,
        }
    }
}

/// A verb with its arguments and what carries it out: `verb!("http", Http, run)`. With `keep` behind it, that is told
/// whether what it opened stays open.
macro_rules! verb {
    ($name:literal, $arguments:ty, $run:path $(, $keep:ident)?) => {{
        fn carry_out<'a>(
            said: ::serde_json::Value,
            context: &'a $crate::steps::StepContext,
            _keep: bool,
        ) -> $crate::steps::definition::Carried<'a> {
            Box::pin(async move {
                let arguments: $arguments = $crate::steps::definition::arguments_of(said)?;
                $(let $keep = _keep;)?
                $run(arguments, context $(, $keep)?).await
            })
        }
        $crate::steps::definition::Verb::new($name, $crate::steps::definition::schema_of::<$arguments>, carry_out)
    }};
}

/// Phrases, each with its meaning and its predicates by field.
macro_rules! phrases {
    ($($pattern:literal, $meaning:literal, $fields:tt;)*) => {
        &[$($crate::steps::definition::Phrase {
            pattern: $pattern,
            meaning: $meaning,
            fields: || ::serde_json::json!($fields),
        },)*]
    };
}

pub(super) use phrases;
pub(super) use verb;

/// The phrases of what is carried out, or is an error.
pub(super) const DONE: &[Phrase] = phrases![
    "done", "it was carried out and has taken effect", {"done": true};
];

pub(super) fn schema_of<T: schemars::JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    T::json_schema(generator)
}

pub(super) fn arguments_of<T: serde::de::DeserializeOwned>(keys: Value) -> Result<T, StepError> {
    serde_json::from_value(keys)
        .map_err(|error| StepError::doing("with its templates filled in, the step is wrong", error))
}

/// What an observation has that its verb doesn't list, and what the verb lists that it lacks. Its `kind` is for steps
/// about it.
#[cfg(test)]
pub(super) fn unlike_listed(verb: &Verb, observation: &Value) -> Vec<String> {
    let keys = observation.as_object().into_iter().flat_map(|fields| fields.keys());
    let unlisted = keys.filter(|key| *key != "kind" && !verb.fields.contains(&key.as_str()));
    let missing = verb.fields.iter().filter(|field| observation.get(**field).is_none());
    unlisted
        .cloned()
        .chain(missing.map(|field| (*field).to_owned()))
        .collect()
}
