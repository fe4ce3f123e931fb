//! What tests of records need beside them: signing as the lane does, and looking at everything.

use std::sync::atomic::{AtomicI64, Ordering};

use signer_client::wire::{Root, Slot};

use super::{Administration, AnyStore, PublicKey, Records, Store};
use crate::{
    audit::{Buffer, Client, Writer},
    slashing::{
        rules::VoteEpochs,
        store::{
            Decision, Request,
            records::{KeyRecords, Snapshot},
        },
    },
};

impl Administration {
    /// Everything on record, ascending by key.
    pub(crate) async fn records(&mut self) -> Vec<KeyRecords> {
        with_store!(&mut self.store, store => {
            let mut snapshot = store.begin_export().await.unwrap();
            let keys = snapshot.keys().to_vec();
            snapshot.read(&keys).await.unwrap()
        })
    }

    /// Asks for a vote as the signer does.
    pub(crate) async fn sign(&mut self, key: PublicKey, vote: VoteEpochs, root: u8) -> Decision {
        let request = request(key, vote, root);
        with_store!(&mut self.store, store => store.clear_attestations(&[request]).await.unwrap()[0])
    }

    /// Asks for a block as the signer does.
    pub(crate) async fn propose(&mut self, key: PublicKey, slot: Slot, root: u8) -> Decision {
        let request = request(key, slot, root);
        with_store!(&mut self.store, store => store.clear_blocks(&[request]).await.unwrap()[0])
    }
}

fn request<Subject>(key: PublicKey, subject: Subject, root: u8) -> Request<Subject> {
    /// Rows of the audit trail need different ids.
    static NEXT_ID: AtomicI64 = AtomicI64::new(1);
    let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
    let ticket = Writer::new(Buffer::new("test", id)).begin(Client::default(), "");
    Request {
        key,
        subject,
        signing_root: Root([root; 32]),
        genesis_validators_root: Root([0x11; 32]),
        audit: ticket.unconfirmed().unwrap(),
    }
}
