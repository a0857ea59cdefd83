//! A browser that is told what to do by its DevTools protocol.

use std::path::Path;
use std::process::Command;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::binary::{DEADLINE, Running, folder, until};

const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// A browser with one page in front. Dropped, it ends.
pub struct Browser {
    socket: WebSocketStream<TcpStream>,
    /// The page that commands are for; none: the browser itself.
    session: Option<String>,
    /// The number of the last command.
    last: u64,
    _running: Running,
    /// Deleted when the browser has ended.
    _profile: tempfile::TempDir,
}

impl Browser {
    /// Starts one; none where it isn't installed.
    pub async fn start() -> Option<Browser> {
        let is_there = |name: &&&str| {
            let version = Command::new(name).arg("--version").output();
            version.is_ok_and(|output| output.status.success())
        };
        let Some(name) = NAMES.iter().find(is_there) else {
            let message = "a browser is not there; tests/browser/install gets it";
            assert!(std::env::var_os("CI").is_none(), "{message}");
            eprintln!("skipped: {message}");
            return None;
        };
        let profile = folder();
        let mut command = Command::new(name);
        // Root has no sandbox, and only pages of our own are opened.
        command.args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--remote-debugging-port=0",
        ]);
        command.arg(format!("--user-data-dir={}", profile.path().display()));
        let running = Running::start(command.arg("about:blank")).expect("the browser starts");
        let mut address = String::new();
        until("the browser listens", || {
            let said = running.stderr();
            let url = said
                .lines()
                .find_map(|line| line.strip_prefix("DevTools listening on "));
            // A line without its end may go on.
            match url.filter(|_| said.ends_with('\n')) {
                Some(url) => {
                    url.trim().clone_into(&mut address);
                    Ok(())
                }
                None => Err(said),
            }
        });
        let request = address.as_str().into_client_request().expect("a request");
        let to = request.uri().authority().expect("an address").to_string();
        let stream = TcpStream::connect(to).await.expect("a connection");
        let (socket, _) = client_async(request, stream).await.expect("a WebSocket");
        Some(Browser {
            socket,
            session: None,
            last: 0,
            _running: running,
            _profile: profile,
        })
    }

    /// Opens a page in a window of this width, and waits until it is there.
    pub async fn open(&mut self, page: &Path, width: u32) {
        self.session = None;
        let target = self
            .command("Target.createTarget", &json!({ "url": "about:blank" }))
            .await;
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = self.command("Target.attachToTarget", &attach).await;
        self.session = attached["sessionId"].as_str().map(str::to_owned);
        let window = json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false });
        self.command("Emulation.setDeviceMetricsOverride", &window).await;
        let url = format!("file://{}", page.display());
        self.command("Page.navigate", &json!({ "url": url })).await;
        let loaded = "new Promise(done => document.readyState === 'complete' ? done(true) \
                      : addEventListener('load', () => done(true)))";
        assert_eq!(self.value(loaded).await, true, "{url}");
    }

    /// Has the reader's system dark or light.
    pub async fn prefer(&mut self, scheme: &str) {
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.command("Emulation.setEmulatedMedia", &features).await;
    }

    /// The value of an expression in the page, or what it promises.
    pub async fn value(&mut self, expression: &str) -> Value {
        let evaluate = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let said = self.command("Runtime.evaluate", &evaluate).await;
        assert!(said["exceptionDetails"].is_null(), "{expression}: {said}");
        said["result"]["value"].clone()
    }

    /// Carries out a command; gives its result.
    async fn command(&mut self, method: &str, parameters: &Value) -> Value {
        self.last += 1;
        let mut command = json!({ "id": self.last, "method": method, "params": parameters });
        if let Some(session) = &self.session {
            command["sessionId"] = json!(session);
        }
        let answer = async {
            self.socket
                .send(Message::text(command.to_string()))
                .await
                .expect("the browser is there");
            loop {
                let message = self.socket.next().await.expect("the browser stays");
                let Message::Text(text) = message.expect("a message") else {
                    continue;
                };
                let said: Value = serde_json::from_str(text.as_str()).expect("JSON");
                if said["id"] == self.last {
                    return said;
                }
            }
        };
        let said = tokio::time::timeout(DEADLINE, answer).await;
        let said = said.unwrap_or_else(|_| panic!("{method}: no answer within {DEADLINE:?}"));
        assert!(said["error"].is_null(), "{method}: {said}");
        said["result"].clone()
    }
}
