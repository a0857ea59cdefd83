//! From files to documents.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use super::document::{Document, list};
use super::finding::{Finding, Verdict};
use super::mask::{Secrets, mask_unread};
use crate::file_input::{self, Refusal};
use crate::yaml::node::{self, Kind, Node};
use crate::yaml::{Problem, Problems, Source, Span};

/// What stands for standard input in the place of a file.
pub const STANDARD_INPUT: &str = "-";

/// Most bytes of a file. The largest charts, with definitions of custom resources, have a quarter of it.
const MAX_BYTES: u64 = 16 << 20;

/// The objects of one or more files.
#[derive(Debug, Default)]
pub struct Manifests {
    pub documents: Vec<Document>,
    /// How many files they are of.
    pub files: usize,
    /// Keys that stand twice in a map: the first one counted.
    repeated: Vec<Problem>,
    secrets: Secrets,
}

impl Manifests {
    /// A message of somebody who read the manifests, secrets masked.
    pub fn mask(&self, message: &str) -> String {
        self.secrets.mask_message(message)
    }

    /// What is wrong with the stream itself.
    pub(super) fn repeated_keys(&self) -> Vec<Finding> {
        let found = self.repeated.iter().map(|problem| Finding {
            rule: "manifests/repeated-key",
            verdict: Verdict::Fail,
            subject: None,
            problem: problem
                .clone()
                .with_help("YAML forbids it, `kubectl apply` refuses it, and which of the two counts is undefined"),
        });
        found.collect()
    }
}

/// Reads files, and where one is called `-` what comes out of `input`.
///
/// # Errors
/// What can't be read, or is no Kubernetes manifest.
pub fn read<'p>(paths: impl IntoIterator<Item = &'p Path>, mut input: impl Read) -> Result<Manifests, Problems> {
    let mut texts = Vec::new();
    let mut problems = Vec::new();
    for path in paths {
        let (name, text) = match path.to_str() == Some(STANDARD_INPUT) {
            true => (
                "standard input".to_owned(),
                file_input::read_stream(&mut input, MAX_BYTES),
            ),
            false => (path.display().to_string(), file_input::read_text(path, MAX_BYTES)),
        };
        match text {
            Ok(text) => texts.push((name, text)),
            Err(refusal) => problems.push(refused(&name, refusal)),
        }
    }
    match problems.is_empty() {
        true => read_texts(texts),
        false => Err(Problems(problems)),
    }
}

fn refused(name: &str, refusal: Refusal) -> Problem {
    if let Refusal::NotText { valid, bytes } = &refusal {
        let good = String::from_utf8_lossy(bytes.get(..*valid).unwrap_or_default());
        let source = Source::new(name, mask_unread(&good));
        let span = Span::of(&source, *valid..*valid);
        return Problem::new(&source, span, "not UTF-8 from here on");
    }
    let problem = Problem::of_file(&Source::new(name, ""), refusal.to_string());
    match refusal.help() {
        Some(help) => problem.with_help(help),
        None => problem,
    }
}

/// Reads texts, each with the name of what it comes from.
///
/// # Errors
/// What is no Kubernetes manifest.
pub fn read_texts(texts: Vec<(String, String)>) -> Result<Manifests, Problems> {
    let mut problems = Vec::new();
    let mut manifests = Manifests {
        files: texts.len(),
        ..Manifests::default()
    };
    let mut streams = Vec::new();
    for (name, text) in texts {
        let source = Source::new(name, text);
        match node::read_stream(&source) {
            Ok((nodes, found)) => {
                let secrets = Secrets::of(&nodes);
                manifests.secrets.extend(&secrets);
                streams.push((source, nodes, found, secrets));
            }
            Err(problem) => {
                let shown = Source::new(source.name.clone(), mask_unread(&source.text));
                problems.push(shown_in(&shown, *problem, what_helps(&source.text)));
            }
        }
    }
    for (source, nodes, found, secrets) in streams {
        let mut masked = secrets.mask(&source.text, &manifests.secrets);
        if !found.is_empty() {
            // What stands under a repeated key is in no tree, so not among the secrets.
            masked = mask_unread(&masked);
        }
        let shown = Source::new(source.name.clone(), masked);
        let repeated = found.into_iter().map(|problem| shown_in(&shown, problem, None));
        manifests.repeated.extend(repeated);
        // Once for all its documents: it looks through the whole text.
        let help = what_helps(&source.text);
        for node in nodes {
            objects(node, &shown, help, &mut manifests.documents, &mut problems);
        }
    }
    match problems.is_empty() {
        true => Ok(manifests),
        false => Err(Problems(problems)),
    }
}

/// The same problem, shown in the masked text.
fn shown_in(source: &Arc<Source>, mut problem: Problem, help: Option<&str>) -> Problem {
    problem.source = Arc::clone(source);
    if let Some(related) = &mut problem.related {
        related.source = Arc::clone(source);
    }
    match help {
        Some(help) => problem.with_help(help),
        None => problem,
    }
}

/// Adds a document's objects: itself, or those of a List.
fn objects(
    node: Node,
    source: &Arc<Source>,
    help: Option<&'static str>,
    documents: &mut Vec<Document>,
    problems: &mut Vec<Problem>,
) {
    let wrong = |message: String| {
        let problem = Problem::new(source, node.span, message);
        problem.with_help(help.unwrap_or("each document is one object, with apiVersion, kind and metadata.name"))
    };
    if node.as_map().is_none() {
        let what = match node.kind {
            Kind::List(_) => "a list",
            // Not which: an error's text, or worse.
            _ => "a text",
        };
        problems.push(wrong(format!("this is {what}, and no Kubernetes object")));
        return;
    }
    for key in ["apiVersion", "kind"] {
        if node.get(key).and_then(Node::as_text).is_none_or(str::is_empty) {
            problems.push(wrong(format!("no Kubernetes object: it has no `{key}`")));
            return;
        }
    }
    let document = Document {
        source: Arc::clone(source),
        root: node,
    };
    // `kubectl get -o yaml` gives a List, and what lists one kind is called after it.
    if document.kind().ends_with("List") && document.root.get("items").is_some() {
        for item in list(&document.root, &["items"]) {
            objects(item.clone(), source, help, documents, problems);
        }
    } else {
        documents.push(document);
    }
}

/// What to do, where a text is plainly something else than manifests.
fn what_helps(text: &str) -> Option<&'static str> {
    let starts = |with: &str| text.lines().any(|line| line.starts_with(with));
    if starts("Error: ") || starts("Error:\t") || text.contains("INSTALLATION FAILED") {
        return Some("this has an error of helm in it: put that right first, and look at its exit code");
    }
    if starts("NOTES:") || starts("LAST DEPLOYED:") || starts("MANIFEST:") {
        return Some("this is what `helm install` or `helm get all` prints: give what `helm template` prints");
    }
    if text.contains("{{") {
        return Some("this looks like a template of a chart: give what `helm template` makes of it");
    }
    None
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn read_text(text: &str) -> Result<Manifests, String> {
        read_texts(vec![("t.yaml".to_owned(), text.to_owned())])
            .map_err(|problems| format!("{}{}", problems.render(), problems.render_plain()))
    }

    #[test]
    fn lists_are_their_items() {
        let text = "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Secret, metadata: {name: a}}\n\
                    - {apiVersion: v1, kind: ConfigMapList, items: [{apiVersion: v1, kind: ConfigMap}]}\n---\n\
                    apiVersion: v1\nkind: Pod\n---\n# nothing\n";
        let manifests = read_text(text).expect("manifests");
        let kinds: Vec<&str> = manifests.documents.iter().map(Document::kind).collect();
        assert_eq!(kinds, ["Secret", "ConfigMap", "Pod"]);
    }

    #[test]
    fn what_is_no_manifest() {
        let refused = |text| read_text(text).expect_err("refused");
        assert!(refused("Error: template: x.yaml:3:4: function \"y\" not defined\n").contains("error of helm"));
        assert!(refused("NAME: x\nLAST DEPLOYED: now\n").contains("`helm template` prints"));
        assert!(refused("NAME: x\nLAST DEPLOYED: now\nNOTES:\n1. Get it: by `x`\n").contains("`helm template` prints"));
        assert!(
            refused("apiVersion: v1\nkind: Pod\nmetadata:\n  name: {{ .Values.x }}\n")
                .contains("a template of a chart")
        );
        assert!(refused("kind: Pod\n").contains("no `apiVersion`"));
        assert!(refused("just words\n").contains("this is a text"));
        assert!(refused("- a\n").contains("this is a list"));
        assert!(read_text("").expect("nothing").documents.is_empty());
    }

    /// Time that grows with the square of their number would be minutes.
    #[test]
    fn many_documents_are_read_soon() {
        let text = "apiVersion: v1\nkind: Pod\nmetadata: { name: a }\n---\n".repeat(15_000);
        let start = Instant::now();
        let manifests = read_text(&text).expect("manifests");
        assert_eq!(manifests.documents.len(), 15_000);
        assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    }

    #[test]
    fn no_secret_is_shown_whatever_is_wrong() {
        let secret = "hunter22hunter22";
        for text in [
            format!("apiVersion: v1\nkind: Secret\nstringData:\n  a: b\n  a: {secret}\n"),
            format!("apiVersion: v1\nkind: Secret\nstringData: {{ a: b, a: {secret} }}\n"),
            format!("apiVersion: v1\nkind: Secret\nstringData:\n  a: {secret}\n b: c\n"),
            format!("kind: Secret\nstringData: {{ a: {secret} }}\n"),
        ] {
            let said = match read_text(&text) {
                Err(said) => said,
                Ok(manifests) => manifests
                    .repeated_keys()
                    .iter()
                    .map(|finding| finding.problem.render())
                    .collect(),
            };
            assert!(!said.is_empty() && !said.contains(secret), "{said}");
        }
    }

    #[test]
    fn one_files_secret_is_masked_in_another() {
        let one = "apiVersion: v1\nkind: Secret\nstringData: { a: hunter22hunter22 }\n".to_owned();
        let other = "apiVersion: v1\nkind: Pod\nnote: hunter22hunter22\n".to_owned();
        let manifests = read_texts(vec![("1".into(), one), ("2".into(), other)]).expect("manifests");
        assert!(!manifests.documents[1].source.text.contains("hunter"));
        assert_eq!(manifests.mask("got hunter22hunter22"), "got [masked]");
    }
}
