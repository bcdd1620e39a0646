//! Books seats of a train at the server whose address is the first argument: `seats_client 127.0.0.1:7600`.

mod seats;

use std::error::Error;

use rm_core::front::{Acquire, AcquireError, Ask, Handle, Patience};
use rm_core::id::ResourceKey;
use rm_net::Client;
use seats::{Seats, Train};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = std::env::args().nth(1).ok_or("give the server's address")?;
    let client = Client::builder()
        .endpoint(server)
        .register(Train { seats: 40 })
        .connect()
        .await?;
    let train: Handle<Train> = client.domain().resource(&ResourceKey::new(b"IC 104")?)?;

    let window_and_aisle = Acquire::new(&*train, Ask::new(Seats(0b11))).await?;
    println!("seats 1 and 2, token {}", window_and_aisle.fence());

    let try_only = Ask {
        patience: Patience::Try,
        ..Ask::new(Seats(0b110))
    };
    match Acquire::new(&*train, try_only).await {
        Err(AcquireError::Busy { holders }) => println!("seat 2 is {}", holders[0]),
        other => println!("{other:?}"),
    }

    drop(window_and_aisle);
    let three = Acquire::new(&*train, Ask::new(Seats(0b111))).await?;
    println!("seats 1 to 3, token {}", three.fence());
    drop(three);
    client.close().await;
    Ok(())
}
