//! A database whose records have departed, beside signers that are still connected to it.

use sqlx::Connection;
use tokio::time::sleep;

use super::*;
use crate::slashing::{refusal::Refusal, store::moves::Moves};

const REFUSED: Decision = Decision::Refused(Refusal::Disabled);

fn key(number: u8) -> PublicKey {
    PublicKey([number; 48])
}

#[tokio::test]
async fn keys_that_come_after_the_records_have_departed_sign_nothing() {
    let mut scene = Scene::new().await;
    scene.with_votes(&[10]).await;
    let mut mover = open(&scene.database).await.general;
    mover.depart(Uuid::from_u128(1)).await.unwrap();
    scene.stores.general.register(&[key(1), key(2)]).await.unwrap();
    for number in [1, 2] {
        assert_eq!(scene.attest(number, 10, 11, 1).await, REFUSED, "{number}");
        let block = request(number, Slot(11), 1);
        assert_eq!(scene.stores.blocks.clear_blocks(&[block]).await.unwrap(), [REFUSED]);
    }

    let enabled = mover.departure().await.unwrap().unwrap().enabled;
    assert_eq!(enabled, [key(1)], "those that could sign before");
    mover.arrive(&enabled).await.unwrap();
    assert!(mover.departure().await.unwrap().is_none());
    scene.stores.general.register(&[key(2), key(3)]).await.unwrap();
    assert_eq!(scene.attest(1, 10, 11, 1).await, Decision::New);
    assert_eq!(scene.attest(2, 10, 11, 1).await, REFUSED, "nobody has switched it on");
    assert_eq!(scene.attest(3, 10, 11, 1).await, Decision::New);
}

#[tokio::test]
async fn keys_whose_registration_is_under_way_depart_with_the_others() {
    let mut scene = Scene::new().await;
    let mut mover = open(&scene.database).await.general;
    let mut registering = scene.connection.begin().await.unwrap();
    register::register(&mut registering, &[key(1)]).await.unwrap();
    let departing = tokio::spawn(async move { mover.depart(Uuid::from_u128(1)).await.unwrap() });
    let waits = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' \
         AND query LIKE '%sp_meta FOR UPDATE%' AND datname = current_database())";
    let mut look = scene.database.connect().await.unwrap();
    while !sqlx::query_scalar::<_, bool>(waits).fetch_one(&mut look).await.unwrap() {
        sleep(Duration::from_millis(10)).await;
    }
    registering.commit().await.unwrap();
    departing.await.unwrap();
    assert_eq!(scene.attest(1, 1, 2, 1).await, REFUSED);
}

#[tokio::test]
async fn a_database_that_had_departed_before_the_upgrade_is_known_to_have() {
    let mut scene = Scene::new().await;
    let mut mover = open(&scene.database).await.general;
    mover.depart(Uuid::from_u128(1)).await.unwrap();
    scene.execute("ALTER TABLE sp_meta DROP COLUMN has_departed").await;
    scene.execute("DELETE FROM _sqlx_migrations WHERE version = 4").await;
    let mut mover = open(&scene.database).await.general;
    assert_eq!(mover.departure().await.unwrap().unwrap().target, Uuid::from_u128(1));
    mover.register(&[key(1)]).await.unwrap();
    assert_eq!(scene.attest(1, 1, 2, 1).await, REFUSED);
}
