//! `file`: a file in a container.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::context::StepContext;
use super::credentials;
use super::definition::{Reach, Verb, phrases, verb};
use super::exec::{self, Exec};
use super::observation::{Observation, StepError};
use crate::world::access::Ask;

/// The verb `file`.
pub const VERB: Verb = Verb {
    phrases: phrases![
        "exists", "the file is there", {"exists": true};
        "absent", "there is no such file", {"exists": false};
    ],
    default_given: Some("exists"),
    fields: &["exists", "mode", "size", "inode", "sha256", "json"],
    takes_objects: &["in"],
    each: Some("in"),
    reach: Reach::Cluster(|_| vec![Ask::Exec, Ask::FindPods]),
    ..verb!("file", File, run)
};

/// Looks at a file in a container.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Its path.
    pub file: String,
    /// A pod; a list of pods: in each.
    pub r#in: Value,
    /// Default: the only one.
    pub container: Option<String>,
}

/// Says mode, size and inode in a line, and what is in the file behind it, of one and the same file however often its
/// name gets another one meanwhile.
const SCRIPT: &str = r#"test -e "$1" || exit 9; { stat -L -c '%a %s %i' /proc/self/fd/3 && cat <&3; } 3<"$1""#;

/// The exit code of the script where there is no such file.
const NOT_THERE: i64 = 9;

/// Looks at a file: `exists`, `mode`, `size`, `inode`, `sha256`, `json` (null where it is none). Secrets in it are known
/// as such from then on.
pub async fn run(arguments: File, context: &StepContext) -> Result<Observation, StepError> {
    let path = arguments.file;
    let what = format!("look at the file {path}");
    let command = Exec {
        exec: ["sh", "-c", SCRIPT, "sh", path.as_str()].map(str::to_owned).into(),
        r#in: arguments.r#in,
        container: arguments.container,
        stdin: None,
        tty: None,
    };
    let ran = exec::run(command, context).await?.value;
    let text = |of: &str| ran[of].as_str().unwrap_or_default();
    let value = match ran["exit_code"].as_i64() {
        Some(0) => observed(text("stdout")),
        Some(NOT_THERE) => Some(json!({ "exists": false })),
        code => {
            let code = code.unwrap_or(-1);
            let why = format!("exit code {code}: {}", text("stderr").trim());
            return Err(StepError::doing(what, why));
        }
    };
    let value = value.ok_or_else(|| StepError::doing(&what, "`stat` says something else than mode, size and inode"))?;
    credentials::keep(&value["json"], &context.redactor)
        .map_err(|error| StepError::doing("keeping secrets of the file secret", error))?;
    Ok(Observation { what, value })
}

/// What the script said.
fn observed(said: &str) -> Option<Value> {
    let (line, content) = said.split_once('\n')?;
    let mut words = line.split(' ');
    let mode = words.next()?;
    let mut number = || words.next()?.trim().parse::<u64>().ok();
    let (size, inode) = (number()?, number()?);
    let digest = Sha256::digest(content.as_bytes());
    Some(json!({
        "exists": true,
        "mode": format!("{mode:0>4}"),
        "size": size,
        "inode": inode,
        "sha256": digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>(),
        "json": serde_json::from_str::<Value>(content).unwrap_or(Value::Null),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::definition::unlike_listed;

    #[test]
    fn what_the_script_says() {
        let seen = observed("600 8 4711\n{\"a\": 1}").expect("a file");
        assert_eq!(
            (seen["mode"].as_str(), seen["inode"].as_u64()),
            (Some("0600"), Some(4711))
        );
        assert_eq!(seen["json"]["a"], 1);
        assert_eq!(unlike_listed(&VERB, &seen), [""; 0]);
        let empty = observed("1777 0 1\n").expect("a file");
        assert_eq!((empty["mode"].as_str(), &empty["json"]), (Some("1777"), &Value::Null));
        assert!(
            empty["sha256"]
                .as_str()
                .is_some_and(|digest| digest.starts_with("e3b0c442"))
        );
        assert_eq!(observed("stat: no\n"), None);
    }
}
