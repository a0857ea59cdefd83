//! A scenario as the runner gets it: parsed, validated, with the place in the
//! user's file at everything that a message may have to point at.

use std::time::Duration;

use indexmap::IndexMap;
use schemars::JsonSchema;

use serde_json::Value;

use super::file::{Id, MatrixValues, Name, Steps};
use super::step_list::StepList;
use crate::vocabulary::duration::DurationText;
use crate::vocabulary::{ExpectationKind, Intrusion, Level, WorldSpec};
use crate::yaml::Place;

/// A scenario: a rule of a contract as a story of steps.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Scenario {
    /// CONTRACT/GROUP/RULE, and the file's path: harness-token/warm/stale is
    /// harness-token/warm/stale.yaml. A fourth part where a rule has several scenarios.
    #[schemars(with = "Id")]
    pub id: String,
    /// The rule, in a sentence.
    pub title: String,
    /// The source and clause, or the standard and section, that the rule comes from.
    pub spec: String,
    /// Whether a (spec) sentence of the contract stands behind it.
    pub level: Level,
    /// What it does to a platform that isn't ours. Default: observe.
    #[schemars(with = "Option<Intrusion>")]
    pub intrusion: Intrusion,
    /// Words to select it by, as tag:warm.
    #[schemars(with = "Option<Vec<String>>")]
    pub tags: Vec<String>,
    /// The world that it needs.
    #[schemars(with = "Option<WorldSpec>")]
    pub world: WorldSpec,
    /// Values by name, evaluated in order when the scenario starts.
    #[schemars(with = "Option<IndexMap<Name, Value>>")]
    pub vars: IndexMap<String, Value>,
    /// The scenario runs once for each combination of these values: of each name a list of
    /// values, or a map of values by what to call them.
    #[schemars(with = "Option<IndexMap<Name, MatrixValues>>")]
    pub matrix: IndexMap<String, Vec<Choice>>,
    /// Longest time that the whole scenario may take.
    #[schemars(with = "Option<DurationText>")]
    pub timeout: Option<Duration>,
    /// Why no step can show that the road was open, where a refusal is all that can be seen.
    pub open_road: Option<String>,
    /// What is done and what must be true, in order.
    #[schemars(with = "Steps")]
    pub steps: StepList,
    /// Steps that run at the end, whatever came before.
    #[schemars(with = "Option<Steps>")]
    pub finally: StepList,
    #[schemars(skip)]
    pub place: Place,
}

/// One value of a matrix.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// How the run is named: `accept[direct]`.
    pub name: String,
    /// A template, evaluated before `vars`.
    pub value: Value,
}

impl Scenario {
    /// The runs that the matrix makes: for each, a choice by name of the variable. One, and
    /// empty, without a matrix. The last variable changes fastest.
    pub fn combinations(&self) -> Vec<Vec<(&str, &Choice)>> {
        self.matrix.iter().fold(vec![Vec::new()], |runs, (variable, choices)| {
            runs.iter()
                .flat_map(|run: &Vec<(&str, &Choice)>| {
                    choices.iter().map(|choice| {
                        let mut run = run.clone();
                        run.push((variable.as_str(), choice));
                        run
                    })
                })
                .collect()
        })
    }

    /// The runs that the matrix makes, by name: `proxy`, or `proxy,first` of two variables. One, and
    /// empty, without a matrix.
    pub fn cases(&self) -> Vec<String> {
        let name = |run: &Vec<(&str, &Choice)>| {
            let choices: Vec<&str> = run.iter().map(|(_, choice)| choice.name.as_str()).collect();
            choices.join(",")
        };
        self.combinations().iter().map(name).collect()
    }

    /// Puts other steps in place of its own.
    pub fn set_steps(&mut self, steps: Vec<Step>) {
        (self.steps, self.finally) = StepList::of(steps, self.finally.to_vec());
    }

    /// The row of the contract's table: the first three parts of the id.
    pub fn row(&self) -> &str {
        match self.id.match_indices('/').nth(2) {
            Some((at, _)) => &self.id[..at],
            None => &self.id,
        }
    }

    /// The contract: the first part of the id.
    pub fn contract(&self) -> &str {
        self.id.split('/').next().unwrap_or(&self.id)
    }
}

/// One action with its expectations. Its schema has the keys that all steps have but what is
/// expected, which depends on the verb.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(rename_all = "kebab-case")]
pub struct Step {
    /// Name of a verb of [`crate::steps::VERBS`].
    #[schemars(skip)]
    pub verb: &'static str,
    /// The verb's own keys, its name among them; strings may be templates.
    #[schemars(skip)]
    pub args: Value,
    /// The name that the observation gets, for the steps after.
    #[schemars(rename = "as", with = "Option<Name>")]
    pub bind: Option<String>,
    /// Never empty for a verb that has a default given.
    #[schemars(skip)]
    pub expectations: Vec<Expectation>,
    /// Why the scenario is skipped where `needs` doesn't hold.
    pub reason: Option<String>,
    /// How long what is expected may take to become true; the step is repeated until then.
    #[schemars(with = "Option<DurationText>")]
    pub within: Option<Duration>,
    /// Time between two tries. Default: 20ms, growing to 250ms.
    #[schemars(with = "Option<DurationText>")]
    pub every: Option<Duration>,
    /// How long what is expected must stay true; the step is repeated for so long.
    #[schemars(with = "Option<DurationText>")]
    pub holds_for: Option<Duration>,
    #[schemars(skip)]
    pub place: Place,
}

/// What a step must show.
#[derive(Clone, Debug)]
pub struct Expectation {
    pub kind: ExpectationKind,
    pub claim: Claim,
    pub place: Place,
}

/// What is expected of an observation.
#[derive(Clone, Debug)]
pub enum Claim {
    /// A phrase of the verb: `opens`, `refused 401`.
    Phrase(Said),
    /// Predicates by the path of a field: `body.tty_token`.
    Fields(IndexMap<String, Predicate>),
    /// `policy: NAME` with a claim for each choice.
    Policy {
        name: String,
        choices: IndexMap<String, Claim>,
    },
    /// Paths of fields by the name that they are reported under. Always holds.
    Facts(IndexMap<String, String>),
}

/// A phrase as a step says it.
#[derive(Clone, Debug)]
pub struct Said {
    /// As it stands in the file. May hold templates.
    pub text: String,
    /// What it says of the observation; none where that is known only once its templates are filled in.
    pub fields: Option<IndexMap<String, Predicate>>,
}

/// What is expected of one value. Operands may be templates.
#[derive(Clone, Debug, PartialEq)]
pub enum Predicate {
    Equals(Value),
    Not(Box<Predicate>),
    OneOf(Vec<Value>),
    /// A regular expression that must be found in the text.
    Matches(String),
    /// A part of a text, an element of a list, a key of a map.
    Contains(Value),
    /// The field is not there.
    Absent,
    /// The field is there, whatever its value.
    Present,
    Null,
    LessThan(Value),
    AtLeast(Value),
    /// The number of elements of a list or keys of a map.
    Count(Value),
    /// All of them hold.
    All(Vec<Predicate>),
    /// At least one of them holds.
    Any(Vec<Predicate>),
}
