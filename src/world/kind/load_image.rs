//! Brings images to a cluster's node.

use std::path::Path;

use super::base::OnBase;
use super::cluster::KindError;
use super::image::Image;
use super::tool::{DOCKER, KIND};

/// The progress message while the image is loaded.
const BRINGING: &str = "bringing the platform's image to its node";

/// Brings the platform's image to a node that does not have it; returns its name.
pub(super) async fn bring(name: &str, image: Image, folder: &Path, tell: impl Fn(&str)) -> Result<String, KindError> {
    if has_image(name, image.name()).await {
        return Ok(image.name().to_owned());
    }
    tell(BRINGING);
    let archive = folder.join("platform.tar");
    image.write(&archive)?;
    let file = archive.to_string_lossy();
    load(name, ["image-archive", &file]).await?;
    // It is as large as the program; a file that stays does no harm.
    let _gone = std::fs::remove_file(&archive);
    Ok(image.name().to_owned())
}

/// The same with one that is made on top of another.
pub(super) async fn bring_on(name: &str, base: &str, binary: &Path, tell: impl Fn(&str)) -> Result<String, KindError> {
    let image = OnBase::find(base, binary).await?;
    if !has_image(name, &image.name).await {
        tell(BRINGING);
        image.make().await?;
        let loaded = load(name, ["docker-image", &image.name]).await;
        image.remove().await;
        loaded?;
    }
    Ok(image.name)
}

pub(super) async fn load(name: &str, what: [&str; 2]) -> Result<(), KindError> {
    let loading = KIND.run(["load"].into_iter().chain(what).chain(["--name", name]));
    loading.await.map(drop).map_err(|source| KindError::Load {
        name: name.to_owned(),
        source,
    })
}

/// Whether a cluster's node has an image. If unknown, the image is loaded again, which is harmless.
pub(super) async fn has_image(cluster: &str, image: &str) -> bool {
    let node = format!("{cluster}-control-plane");
    DOCKER.ask(["exec", &node, "crictl", "inspecti", image]).await.is_ok()
}
