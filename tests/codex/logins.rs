//! Logins as processes, at once.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::vendor::Vendor;
use crate::binary::{Running, folder, gauntlet_with_signals, json, until};

/// Three people log in at once, one of them twice: each login is whole, and in no other's file.
#[test]
fn logins_at_once_keep_apart() {
    let (volume, bin, vendor) = (folder(), folder(), Vendor::start());
    // Written by another process: what this one has open for writing others may have inherited, and then it can't
    // be run.
    let script = format!(
        "#!/bin/sh\nexec '{}' platform codex \"$@\"\n",
        env!("CARGO_BIN_EXE_gauntlet")
    );
    let made = Command::new("sh")
        .current_dir(bin.path())
        .args(["-c", "printf %s \"$0\" >codex && chmod 755 codex", &script])
        .status();
    assert!(made.expect("a shell").success());
    let mut logins = ["1", "2", "3", "1"].map(|account| {
        let mut command = gauntlet_with_signals();
        command
            .args(["platform", "auth-login", account])
            .env("CHATGPT_AUTH_DIR", volume.path())
            .env("CODEX_BIN_DIR", bin.path())
            .env("CODEX_ISSUER", format!("http://{}", vendor.address))
            .env("CODEX_CLIENT_ID", "gauntlet-codex")
            .env_remove("GAUNTLET_MUTANTS");
        (account, Running::start(&mut command).expect("gauntlet starts"))
    });
    // All have begun before anybody is done.
    let pattern = regex::Regex::new("[A-Z]{4}-[A-Z]{4}").expect("a pattern");
    let mut codes = Vec::new();
    for (account, login) in &logins {
        until("a code is shown", || {
            let out = login.stdout();
            match pattern.find(&out) {
                Some(code) => {
                    codes.push((*account, code.as_str().to_owned()));
                    Ok(())
                }
                None => Err(out + &login.stderr()),
            }
        });
    }
    for (account, code) in codes {
        let approved = serde_json::json!({ "user_code": code, "account": format!("acct-{account}") });
        vendor.asked("POST", "/control/approve", &approved.to_string());
    }
    for (account, login) in &mut logins {
        let code = login.ends().code();
        assert_eq!(code, Some(0), "{account}: {}{}", login.stdout(), login.stderr());
    }
    for account in ["1", "2", "3"] {
        let file = volume.path().join(format!("auth-{account}.json"));
        let mode = std::fs::metadata(&file).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let token = json(&file)["tokens"]["access_token"]
            .as_str()
            .expect("a token")
            .to_owned();
        let claims = token.split('.').nth(1).expect("claims");
        let claims = URL_SAFE_NO_PAD.decode(claims).expect("base64url");
        let claims: Value = serde_json::from_slice(&claims).expect("JSON");
        assert_eq!(claims["sub"], format!("acct-{account}"), "{claims}");
    }
    // Nothing of the logins' own is left.
    let left = std::fs::read_dir(volume.path()).expect("a folder").count();
    assert_eq!(left, 3);
}
