//! The printed addresses: each stays the same while the platform is up.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::vocabulary::Road;
use crate::world::World;
use crate::world::forward::accept;
use crate::world::roads::door;

/// Listeners on loopback. A pod's own address ends with the pod, as in a rollout; each connection to one
/// of these goes to a pod that is ready by then, as it would through a Service.
pub struct Doors {
    world: Arc<World>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Doors {
    pub fn new(world: Arc<World>) -> Doors {
        Doors {
            world,
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        }
    }

    /// Opens a listener that leads to the door of a road, and gives its address.
    ///
    /// # Errors
    /// If no port of loopback could be bound.
    pub async fn open(&self, road: Road) -> io::Result<SocketAddr> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (world, stop, tasks) = (self.world.clone(), self.stop.clone(), self.tasks.clone());
        self.tasks.spawn(async move {
            while let Some(client) = stop.run_until_cancelled(accept(&listener)).await {
                let (world, stop) = (world.clone(), stop.clone());
                tasks.spawn(async move {
                    stop.run_until_cancelled(lead(client, world, road)).await;
                });
            }
        });
        Ok(address)
    }

    /// Ends the listeners and all that goes through them; returns the world that they led to.
    pub async fn end(self) -> Arc<World> {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.world
    }
}

/// Leads one connection. Where no pod is ready it is reset, as that to a Service without endpoints is.
async fn lead(mut client: TcpStream, world: Arc<World>, road: Road) {
    let reset = |stream: &TcpStream| drop(stream.set_zero_linger());
    let Ok(found) = door(&world, road, None).await else {
        return reset(&client);
    };
    drop(world);
    let Ok(mut pod) = TcpStream::connect(found.way).await else {
        return reset(&client);
    };
    let _nodelay = (client.set_nodelay(true), pod.set_nodelay(true));
    if copy_bidirectional(&mut client, &mut pod).await.is_err() {
        // One of them reset it, so the other one is to see that too.
        reset(&pod);
        reset(&client);
    }
}
