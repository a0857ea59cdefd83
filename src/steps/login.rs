//! `login`: a device login as a person does it, in a terminal and a browser.

use std::num::NonZeroU16;

use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, AttachParams};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;

use super::context::StepContext;
use super::definition::{Need, Reach, Verb, phrases, verb};
use super::exec;
use super::http::{Request, send};
use super::observation::{Observation, StepError};
use crate::vocabulary::{Intrusion, Road};
use crate::world::access::Ask;
use crate::world::roads::door;

/// The verb `login`.
pub const VERB: Verb = Verb {
    phrases: phrases![
        "logs in", "it shows an address and a code, and ends well once a person has approved",
            {"exit_code": 0, "shown.code": {"present": true}};
        "fails", "the command ends with another code than 0", {"exit_code": {"not": 0}};
    ],
    default_given: Some("logs in"),
    fields: &["shown", "exit_code", "screen"],
    objects: &["shown"],
    takes_objects: &["login", "in"],
    each: Some("in"),
    reach: Reach::Cluster(|_| vec![Ask::Exec, Ask::FindPods]),
    intrusion: |_| Intrusion::Disrupt,
    needs: |_| &[Need::Person],
    ..verb!("login", Login, run)
};

/// Logs in as a person does: the login script in a terminal, and the browser beside it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Login {
    /// The number of the account: 1, 2 or 3. What the script has to refuse may be any text; an empty one is no argument.
    pub login: Value,
    /// The pod.
    pub r#in: Value,
    /// Default: `approves`.
    pub person: Option<Person>,
    /// Whose account at the vendor it is. Default: `acct-` and the number.
    pub account: Option<String>,
}

/// What a person does with a device login that asks for one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Person {
    #[default]
    Approves,
    Denies,
    /// Nothing: the code expires.
    Waits,
    /// Closes the terminal when the code is there.
    HangsUp,
}

/// Logs in: `shown` (`address` and `code`, where the terminal showed both), `exit_code` (none where the command was not
/// waited for, or did not end in time), `screen`.
pub async fn run(arguments: Login, context: &StepContext) -> Result<Observation, StepError> {
    let world = &context.world;
    let pod = exec::pod_name(&arguments.r#in, context).await?;
    let person = arguments.person.unwrap_or_default();
    let number = match &arguments.login {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let what = format!("log account {number} in, in {pod}");
    let params = AttachParams {
        container: Some(world.name("codex.container").to_owned()),
        stdin: true,
        stdout: true,
        stderr: false,
        tty: true,
        ..AttachParams::default()
    };
    let words = [world.name("login.script"), number.as_str()];
    let command: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
    let api: Api<Pod> = Api::namespaced(world.kubernetes.clone(), &world.namespace);
    let process = api.exec(&pod, command, &params).await;
    let mut process = process.map_err(|error| StepError::asking(&what, error))?;
    let status = process.take_status();
    // A terminal whose other side is closed ends what runs in it.
    let _open = process.stdin();
    let mut screen = Screen {
        output: process.stdout(),
        bytes: Vec::new(),
    };
    // Nothing that is shown in time is the platform's doing: it is seen by what is missing.
    let shown = timeout(2 * context.limits.screen, screen.until_shown())
        .await
        .ok()
        .flatten();
    let account = arguments.account.unwrap_or_else(|| format!("acct-{number}"));
    // One that has ended still tells how.
    let hangs_up = person == Person::HangsUp || (shown.is_none() && screen.output.is_some());
    match (&shown, person) {
        _ if hangs_up => {
            process.abort();
            // What is aborted closes nothing: the end would never be read.
            screen.output = None;
        }
        (Some(shown), Person::Approves) => {
            let body = json!({ "user_code": shown.code, "account": account });
            tell_vendor("/control/approve", body, context).await?;
        }
        (Some(shown), Person::Denies) => {
            tell_vendor("/control/deny", json!({ "user_code": shown.code }), context).await?;
        }
        _ => {}
    }
    let ends = async {
        screen.rest().await;
        match status {
            Some(status) => status.await,
            None => None,
        }
    };
    let ended = timeout(context.limits.ready, ends).await.ok().flatten();
    process.abort();
    let code = ended.as_ref().and_then(exec::exit_code);
    let value = observed(&screen.text(), shown.as_ref(), code);
    Ok(Observation { what, value })
}

fn observed(screen: &str, shown: Option<&Shown>, exit_code: Option<i64>) -> Value {
    let mut value = json!({ "screen": screen });
    if let Some(shown) = shown {
        value["shown"] = json!({ "address": shown.address, "code": shown.code });
    }
    if let Some(code) = exit_code {
        value["exit_code"] = code.into();
    }
    value
}

/// Has the vendor do what a person would do in a browser.
async fn tell_vendor(path: &str, body: Value, context: &StepContext) -> Result<(), StepError> {
    let what = format!("POST {path} {}", Road::Vendor.by());
    let found = door(&context.world, Road::Vendor, None).await;
    let door = found.map_err(|error| StepError::doing(&what, error))?;
    let mut request = Request::new("POST", path);
    request.body = Some(body.to_string());
    let answer = send(request, context.limits.answer, &door, None, context, &what).await?;
    match answer["status"].as_u64() {
        Some(200..300) => Ok(()),
        _ => Err(StepError::doing(&what, answer.to_string())),
    }
}

/// What a person needs in the browser.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Shown {
    address: String,
    code: String,
}

/// What a terminal shows.
struct Screen<R> {
    /// None once it has ended.
    output: Option<R>,
    bytes: Vec<u8>,
}

impl<R: AsyncRead + Unpin> Screen<R> {
    /// Reads until address and code are there; none if the output ends before.
    async fn until_shown(&mut self) -> Option<Shown> {
        loop {
            if let Some(shown) = shown(&self.text()) {
                return Some(shown);
            }
            self.more().await?;
        }
    }

    /// Reads to the end.
    async fn rest(&mut self) {
        while self.more().await.is_some() {}
    }

    async fn more(&mut self) -> Option<()> {
        match self.output.as_mut()?.read_buf(&mut self.bytes).await {
            Ok(1..) => Some(()),
            // A terminal that ends with an error ends as well.
            Ok(0) | Err(_) => {
                self.output = None;
                None
            }
        }
    }

    /// All whole lines so far, without colours.
    fn text(&self) -> String {
        let whole = match (&self.output, self.bytes.iter().rposition(|byte| *byte == b'\n')) {
            (Some(_), Some(end)) => &self.bytes[..=end],
            (Some(_), None) => &[],
            (None, _) => &self.bytes[..],
        };
        let mut screen = vt100::Parser::new(ROWS, COLUMNS, 0);
        screen.process(whole);
        screen.screen().contents()
    }
}

/// The size of a screen on which all that is said has a place: lines are not broken.
const ROWS: NonZeroU16 = NonZeroU16::MIN.saturating_add(199);
const COLUMNS: NonZeroU16 = NonZeroU16::MIN.saturating_add(399);

/// Address and code, where both are shown.
fn shown(text: &str) -> Option<Shown> {
    let words = || {
        text.split_whitespace()
            .map(|word| word.trim_matches(['.', ',', '"', '(', ')']))
    };
    let address = words().find(|word| word.starts_with("https://") || word.starts_with("http://"))?;
    let code = words().find(|word| is_code(word))?;
    Some(Shown {
        address: address.to_owned(),
        code: code.to_owned(),
    })
}

/// As `ABCD-12345`.
fn is_code(word: &str) -> bool {
    let part = |part: &str| {
        let plain = part
            .bytes()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
        (4..=8).contains(&part.len()) && plain
    };
    word.split_once('-')
        .is_some_and(|(first, second)| part(first) && part(second))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::definition::unlike_listed;

    #[tokio::test]
    async fn address_and_code_among_colours() {
        let said = "\x1b[1mWelcome to Codex\x1b[0m [v0]\r\n1. Open this link\r\n   \x1b[94mhttp://v:9400/codex/device\x1b[0m\r\n\
                    2. Enter this one-time code\r\n   \x1b[94mABCD-12345\x1b[0m\r\nwaiting";
        let mut screen = Screen {
            output: Some(said.as_bytes()),
            bytes: Vec::new(),
        };
        let shown = screen.until_shown().await.expect("shown");
        assert_eq!(shown.address, "http://v:9400/codex/device");
        assert_eq!(shown.code, "ABCD-12345");
        assert_eq!(unlike_listed(&VERB, &observed("", Some(&shown), Some(0))), [""; 0]);
        screen.rest().await;
        assert!(screen.text().ends_with("waiting"));
    }

    #[tokio::test]
    async fn what_ends_before() {
        let mut screen = Screen {
            output: Some("usage: auth-login.sh 1|2|3\n".as_bytes()),
            bytes: Vec::new(),
        };
        assert_eq!(screen.until_shown().await, None);
        assert!(screen.text().starts_with("usage"));
    }

    #[test]
    fn codes() {
        assert!(is_code("ABCD-EFGH") && is_code("1A2B-C3D4E"));
        for word in ["one-time", "ABC-DEFG", "ABCD", "ABCD-efgh", "X-Y"] {
            assert!(!is_code(word), "{word}");
        }
    }
}
