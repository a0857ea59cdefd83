//! Why a door isn't ready to be loaded.

use super::flags::CaError;
use super::reach::AssignmentError;
use crate::cli::exit::UsageError;
use crate::cli::load::Unwritable;
use crate::cli::load::changes::ChangeError;
use crate::cli::load::drive::DriveError;
use crate::cli::load::http::SideError;
use crate::cli::load::platform::PlatformError;
use crate::cli::load::workers::CrewError;
use crate::load::cluster::ReferencePodsError;
use crate::load::worker::PlanError;
use crate::load::{HistogramError, MakeError, ReferenceError, ResolveError, SessionApiError};

/// Why a door isn't ready.
pub enum NotReady {
    Usage(UsageError),
    Interrupted,
    CouldNotTell(Box<dyn std::error::Error + Send + Sync>),
}

impl From<UsageError> for NotReady {
    fn from(error: UsageError) -> NotReady {
        NotReady::Usage(error)
    }
}

impl From<String> for NotReady {
    fn from(why: String) -> NotReady {
        NotReady::CouldNotTell(why.into())
    }
}

/// What these say is all that there is to say.
macro_rules! could_not_tell {
    ($($error:ty),+ $(,)?) => {
        $(impl From<$error> for NotReady {
            fn from(error: $error) -> NotReady {
                NotReady::CouldNotTell(error.into())
            }
        })+
    };
}

could_not_tell!(
    ResolveError,
    PlanError,
    SessionApiError,
    HistogramError,
    Unwritable,
    AssignmentError,
    CaError,
    SideError,
    ChangeError,
    DriveError,
    CrewError,
    ReferenceError,
    ReferencePodsError,
    PlatformError,
    MakeError,
);
