//! Kubernetes errors in words.

use std::error::Error;

use super::exhausted::Exhausted;

/// An error of the Kubernetes client as a person reads it: what the API server said where it said
/// something (`pods "x" not found (404 NotFound)`), what stood in the way of asking it otherwise; and what to do
/// where that is something that this machine has no more of.
pub fn kube_error(error: &(dyn Error + 'static)) -> String {
    let chain = || {
        std::iter::successors(Some(error), |error: &&(dyn Error + 'static)| {
            let error: &(dyn Error + 'static) = *error;
            error.source()
        })
    };
    let status = chain().find_map(|error| match error.downcast_ref::<kube::Error>() {
        Some(kube::Error::Api(status)) => Some(status),
        _ => None,
    });
    if let Some(status) = status {
        let message = match status.message.is_empty() {
            true => "refused",
            false => &status.message,
        };
        return match status.reason.is_empty() {
            true => format!("{message} ({})", status.code),
            false => format!("{message} ({} {})", status.code, status.reason),
        };
    }
    let mut said = String::new();
    for error in chain() {
        let part = error.to_string();
        // Many errors tell their source's text as well.
        if !said.contains(&part) {
            if !said.is_empty() {
                said.push_str(": ");
            }
            said.push_str(&part);
        }
    }
    if let Some(exhausted) = Exhausted::of(error) {
        said.push_str(&format!(": {exhausted}"));
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::Status;

    #[test]
    fn what_the_server_says_stands_alone() {
        let refusal = || {
            kube::Error::Api(
                Status::failure("pods \"x\" not found", "NotFound")
                    .with_code(404)
                    .boxed(),
            )
        };
        assert_eq!(kube_error(&refusal()), "pods \"x\" not found (404 NotFound)");
        let waiting =
            kube::runtime::wait::Error::ProbeFailed(kube::runtime::watcher::Error::InitialListFailed(refusal()));
        assert_eq!(kube_error(&waiting), "pods \"x\" not found (404 NotFound)");
    }

    #[test]
    fn what_was_in_the_way_is_told_to_its_end() {
        let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        let service = kube::Error::Service(Box::new(refused));
        assert_eq!(kube_error(&service), "ServiceError: connection refused");
    }

    #[test]
    fn what_ran_out_is_told_with_what_to_do() {
        let exhausted = std::io::Error::from(rustix::io::Errno::MFILE);
        insta::assert_snapshot!(kube_error(&kube::Error::Service(exhausted.into())), @"ServiceError: Too many open files (os error 24): this process has no file descriptor left (EMFILE): raise the limit, as with `ulimit -n 20000`, or run fewer scenarios at once with `--jobs`");
    }
}
