//! placeholder
use super::{ComponentError, Pod};
pub async fn run(_pod: Pod) -> Result<(), ComponentError> {
    Ok(())
}
