//! One step: its templates filled in, carried out, its expectations judged.

use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::events::Verdict;
use crate::scenario::{Claim, Expectation, JudgeError, Step, facts, judge, refuse_objects};
use crate::steps::raw::OF_THE_ROAD;
use crate::steps::{AUTHORITY, Observation, StepContext, StepError, Verb, verb};
use crate::template::{Scope, render};
use crate::vocabulary::Road;
use crate::vocabulary::{ExpectationKind, Policies};
use crate::world::roads::{RoadError, door, door_path};
use crate::world::subject::{self, default_road};
use crate::yaml::Place;

/// Between two tries, where the step doesn't say: at first, and at most.
const PAUSE: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(250));

/// The outcome of a step, or of a step for one of several pods.
pub struct Attempt {
    /// What it did, in words.
    pub what: String,
    pub judged: Vec<Judged>,
    pub facts: Vec<(String, Value, Place)>,
}

/// An expectation, judged.
pub struct Judged {
    pub kind: ExpectationKind,
    pub verdict: Verdict,
    pub expected: String,
    pub got: String,
    pub reason: Option<String>,
    pub place: Place,
    /// It doesn't hold yet, which may change in time; unlike an expectation that was not judged.
    pub may_change: bool,
}

/// Carries out one step.
pub struct StepRunner<'a> {
    pub step: &'a Step,
    pub context: &'a StepContext,
    pub policies: &'a Policies,
}

impl StepRunner<'_> {
    /// Carries it out, for each pod where it is about a list of them; binds what it observed. What came
    /// of it stands in `attempts`, also where it ends in an error.
    pub async fn run(&self, scope: &mut Scope, attempts: &mut Vec<Attempt>) -> Result<(), StepError> {
        let verb =
            verb(self.step.verb).ok_or_else(|| StepError::Arguments(format!("there is no verb {}", self.step.verb)))?;
        let mut last = Value::Null;
        for keys in self.each(verb, scope).await? {
            let (attempt, observed) = self.until(verb, keys, scope).await?;
            attempts.push(attempt);
            last = observed;
        }
        if let Some(name) = &self.step.bind {
            scope.set(name, last);
        }
        Ok(())
    }

    /// The step's keys with their templates filled in, once for each text of its list and each pod that it is about.
    async fn each(&self, verb: &Verb, scope: &Scope) -> Result<Vec<Value>, StepError> {
        refuse_objects(verb, &self.step.args, scope)
            .map_err(|error| StepError::doing("filling in a template", error))?;
        let Some(texts) = self.texts(verb, scope) else {
            return self.each_subject(verb, &self.step.args, scope).await;
        };
        let mut all = Vec::new();
        for text in texts {
            let mut args = self.step.args.clone();
            args[verb.name] = text.clone();
            all.extend(self.each_subject(verb, &args, scope).await?);
        }
        Ok(all)
    }

    /// The list that the step's own key is the variable of, as in `http: ${routes}`.
    fn texts<'s>(&self, verb: &Verb, scope: &'s Scope) -> Option<&'s Vec<Value>> {
        let said = self.step.args.get(verb.name).filter(|_| verb.takes_list)?;
        let name = said.as_str()?.strip_prefix("${")?.strip_suffix('}')?;
        scope.get(name.trim())?.as_array()
    }

    /// Keys with their templates filled in, once for each pod that they are about.
    async fn each_subject(&self, verb: &Verb, args: &Value, scope: &Scope) -> Result<Vec<Value>, StepError> {
        let filled = |template: &Value, scope: &Scope| {
            render(template, scope).map_err(|error| StepError::doing("filling in a template", error))
        };
        let Some((key, template)) = verb.each.and_then(|key| Some((key, args.get(key)?))) else {
            return Ok(vec![filled(args, &self.with_door(scope, None).await?)?]);
        };
        let about = filled(template, scope)?;
        let subjects = match subject::each(&about) {
            None => vec![about],
            Some(pods) if pods.is_empty() => {
                return Err(StepError::Because(format!("{}: the list of pods is empty", verb.name)));
            }
            Some(pods) => pods.clone(),
        };
        let mut all = Vec::new();
        for subject in subjects {
            let scope = self.with_door(scope, Some(&subject)).await?;
            let mut keys = args.clone();
            keys[key] = Value::Null;
            let mut keys = filled(&keys, &scope)?;
            keys[key] = subject;
            all.push(keys);
        }
        Ok(all)
    }

    /// The scope with `door`: the path of the terminal's door on the step's road; and where the step says it, with
    /// `authority`: what `Host` is on that road.
    async fn with_door(&self, scope: &Scope, subject: Option<&Value>) -> Result<Scope, StepError> {
        let road = match self.step.args.get("road") {
            None => subject.map_or(Road::Proxy, default_road),
            Some(template) => {
                let road = render(template, scope).map_err(|error| StepError::doing("the road", error))?;
                serde_json::from_value(road).map_err(|error| StepError::doing("the road", error))?
            }
        };
        let world = &self.context.world;
        let scope = scope.with("door", door_path(world, road, subject).into());
        if !self.step.args.to_string().contains(AUTHORITY) {
            return Ok(scope);
        }
        let authority = match door(world, road, subject.filter(|subject| **subject != OF_THE_ROAD)).await {
            Ok(door) => door.host,
            // The step says what is missing.
            Err(RoadError::NoPod { .. }) => String::new(),
            Err(error) => return Err(StepError::doing("the authority of the road", error)),
        };
        Ok(scope.with(AUTHORITY, authority.into()))
    }

    /// Repeats the step until its expectations hold, and then for as long as they must.
    async fn until(&self, verb: &Verb, keys: Value, scope: &Scope) -> Result<(Attempt, Value), StepError> {
        let keep = self.step.bind.is_some();
        let started = Instant::now();
        let mut pause = self.step.every.unwrap_or(PAUSE.0);
        let mut held_since = None;
        loop {
            let in_time = self.step.within.is_some_and(|within| started.elapsed() < within);
            let seen = match (verb.run)(keys.clone(), self.context, keep).await {
                Ok(seen) => seen,
                Err(_) if in_time && held_since.is_none() => {
                    self.pause(&mut pause).await;
                    continue;
                }
                Err(error) => return Err(error),
            };
            let attempt = self.judge(verb, &seen, scope)?;
            let holds = !attempt.judged.iter().any(|judged| judged.may_change);
            let goes_on = match (holds, self.step.holds_for) {
                (false, _) => held_since.is_none() && in_time,
                (true, None) => false,
                (true, Some(time)) => held_since.get_or_insert_with(Instant::now).elapsed() < time,
            };
            if !goes_on {
                return Ok((self.with_time(attempt, started.elapsed(), held_since), seen.value));
            }
            self.pause(&mut pause).await;
        }
    }

    /// Between two tries: there is nothing to watch for what a door answers.
    async fn pause(&self, pause: &mut Duration) {
        sleep(*pause).await;
        if self.step.every.is_none() {
            *pause = (*pause * 2).min(PAUSE.1);
        }
    }

    /// Says how long was waited, where that is part of what was expected.
    fn with_time(&self, mut attempt: Attempt, waited: Duration, held_since: Option<Instant>) -> Attempt {
        for judged in attempt
            .judged
            .iter_mut()
            .filter(|judged| judged.verdict != Verdict::Pass)
        {
            match (held_since, self.step.within, self.step.holds_for) {
                (Some(since), _, Some(time)) => {
                    judged.expected = format!("{} for {time:?}", judged.expected);
                    judged.got = format!("{} after {:.3?}", judged.got, since.elapsed());
                }
                (_, Some(within), _) => {
                    judged.expected = format!("{} within {within:?}", judged.expected);
                    judged.got = format!("{} after {waited:.3?}", judged.got);
                }
                _ => {}
            }
        }
        attempt
    }

    fn judge(&self, verb: &Verb, seen: &Observation, scope: &Scope) -> Result<Attempt, StepError> {
        let mut attempt = Attempt {
            what: seen.what.clone(),
            judged: Vec::new(),
            facts: Vec::new(),
        };
        for expectation in &self.step.expectations {
            match expectation.kind {
                ExpectationKind::Fact => attempt.facts.extend(self.fact(verb, expectation, seen, scope)?),
                _ => attempt
                    .judged
                    .push(self.expectation(verb, expectation, seen, scope, &mut attempt.facts)?),
            }
        }
        Ok(attempt)
    }

    fn fact(
        &self,
        verb: &Verb,
        expectation: &Expectation,
        seen: &Observation,
        scope: &Scope,
    ) -> Result<Vec<(String, Value, Place)>, StepError> {
        let failed = |error: JudgeError| StepError::doing("observing a fact", error);
        let place = || expectation.place.clone();
        match &expectation.claim {
            Claim::Facts(fields) => {
                let found = facts(fields, &seen.value).map_err(failed)?;
                Ok(found.into_iter().map(|(name, value)| (name, value, place())).collect())
            }
            Claim::Phrase(said) => {
                let judgement = judge(&expectation.claim, verb, &seen.value, scope, self.policies).map_err(failed)?;
                Ok(vec![(
                    format!("{}: {}", seen.what, said.text),
                    judgement.holds.into(),
                    place(),
                )])
            }
            Claim::Fields(_) | Claim::Policy { .. } => {
                let judgement = judge(&expectation.claim, verb, &seen.value, scope, self.policies).map_err(failed)?;
                Ok(vec![(seen.what.clone(), judgement.got.into(), place())])
            }
        }
    }

    fn expectation(
        &self,
        verb: &Verb,
        expectation: &Expectation,
        seen: &Observation,
        scope: &Scope,
        observed: &mut Vec<(String, Value, Place)>,
    ) -> Result<Judged, StepError> {
        let mut judged = Judged {
            kind: expectation.kind,
            verdict: Verdict::Pass,
            expected: String::new(),
            got: String::new(),
            reason: None,
            place: expectation.place.clone(),
            may_change: false,
        };
        match judge(&expectation.claim, verb, &seen.value, scope, self.policies) {
            Ok(judgement) => {
                judged.expected = judgement.expected;
                judged.got = judgement.got;
                judged.may_change = !judgement.holds;
                if !judgement.holds {
                    judged.got += &no_answer(verb, &seen.value);
                    judged.verdict = match expectation.kind {
                        ExpectationKind::Check => Verdict::Fail,
                        ExpectationKind::Needs => Verdict::Skip,
                        ExpectationKind::Given | ExpectationKind::Fact => Verdict::Error,
                    };
                    judged.reason = (judged.verdict == Verdict::Skip)
                        .then(|| self.step.reason.clone())
                        .flatten();
                }
            }
            Err(JudgeError::Undeclared {
                policy,
                observed: choices,
            }) => {
                judged.verdict = Verdict::Skip;
                judged.reason = Some(format!("policy {policy} not declared"));
                judged.got = choices.join(" or ");
                observed.push((policy, choices.into(), expectation.place.clone()));
            }
            Err(error) => return Err(StepError::doing("judging what was seen", error)),
        }
        Ok(judged)
    }
}

/// Why there was no answer to observe, or the reasons that an observation has itself, where that is so: ` (there is no
/// ready pod with app=web)`.
fn no_answer(verb: &Verb, seen: &Value) -> String {
    if let Some(field) = verb.reasons {
        let reasons = seen[field].as_array().into_iter().flatten();
        let reasons: Vec<&str> = reasons.filter_map(Value::as_str).collect();
        return match reasons.is_empty() {
            true => String::new(),
            false => format!(" ({})", reasons.join("; ")),
        };
    }
    let why = ["connection", "broken"].iter().find_map(|field| seen[*field].as_str());
    match (why, seen["no_answer_within"].as_u64()) {
        (Some(why), _) => format!(" ({why})"),
        (None, Some(waited)) => format!(" (no answer within {waited} ms)"),
        (None, None) => String::new(),
    }
}
