//! Aggregation jobs with the typed client: the form of the body, and events over connections that are
//! cut.

use std::net::SocketAddr;

use futures_util::StreamExt as _;
use signer_client::{
    client::{HttpOptions, RemoteAggregator},
    wire::aggregation::{
        AggregationDeadline, AggregationGroup, AggregationRequest, AggregationSingle,
        AggregationSubject, JobEvent, JobReason, JobStatus, NumberedEvent,
    },
};
use signer_server::{bls::SecretKey, keys::interop_secret_key};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use super::*;

/// How often a test begins anew whose job ran out of time: the worker gives way to a busy machine.
const ATTEMPTS: u32 = 20;

async fn signer() -> Signer {
    SignerOptions::empty().root("--aggregation-enabled").start().await.unwrap()
}

/// A message that the first three interop keys have signed.
fn group(message: u8) -> AggregationGroup {
    let root = [message; 32];
    let single = |at: u16| {
        let secret = SecretKey::from_bytes(&interop_secret_key(at.into())).unwrap();
        AggregationSingle::new(at, secret.sign_bytes(&root))
    };
    AggregationGroup {
        pubkeys: (0..3).map(|index| Some(key(index))).collect(),
        singles: (0..3).map(single).collect(),
        ..AggregationGroup::new(AggregationSubject::Raw {
            signing_root: Root(root),
            bits_len: QuotedU64(3),
        })
    }
}

fn request(attempt: u32) -> AggregationRequest {
    let slot = Slot(requests::current_slot());
    AggregationRequest {
        attempt,
        deadline: Some(AggregationDeadline::AfterMs(QuotedU64(12_000))),
        ..AggregationRequest::new(fork_info(), slot, (1..=3).map(group).collect())
    }
}

#[tokio::test]
async fn a_job_in_ssz_is_the_job_that_it_is_in_json() {
    let signer = signer().await;
    let form = |ssz_from_entries| {
        let options = HttpOptions { ssz_from_entries, ..HttpOptions::default() };
        HttpSigner::new(vec![endpoint(&signer)], options).unwrap()
    };
    let (ssz, json) = (form(0), form(usize::MAX));
    for attempt in 0..ATTEMPTS {
        let request = request(attempt);
        let job = ssz.aggregate(&request, soon()).await.unwrap();
        if job.reason != Some(JobReason::Complete) {
            continue;
        }
        assert!(job.groups.iter().all(|group| group.used.count == 3), "{job:?}");
        assert_eq!(json.aggregate(&request, soon()).await.unwrap(), job);
        return;
    }
    panic!("the machine is too busy");
}

/// In front of a signer: cuts each connection in the middle of the second event that comes over it.
struct Cutting {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for Cutting {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Cutting {
    async fn of(signer: &Signer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let signer = signer.client.address();
        let task = tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                // It ends with an error when either side goes away.
                tokio::spawn(async move { drop(pass_on(client, signer).await) });
            }
        });
        Self { address, task }
    }
}

/// The end of a body without a length.
const LAST_CHUNK: &[u8] = b"\r\n0\r\n\r\n";

/// Where the second event of an answer begins, if there is enough of it to be cut.
fn second_event(answer: &[u8]) -> Option<usize> {
    let end = answer.windows(2).position(|window| window == b"\n\n")? + 2;
    // It may be in the next chunk, behind the length of that one.
    let begin = end + answer[end..].windows(4).position(|window| window == b"id: ")?;
    (answer.len() > begin + 18).then_some(begin)
}

async fn pass_on(mut client: TcpStream, signer: SocketAddr) -> std::io::Result<()> {
    let mut signer = TcpStream::connect(signer).await?;
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        client.read_buf(&mut request).await?;
    }
    signer.write_all(&request).await?;
    let mut answer = Vec::new();
    loop {
        let is_over = signer.read_buf(&mut answer).await? == 0 || answer.ends_with(LAST_CHUNK);
        if let Some(second) = second_event(&answer) {
            return client.write_all(&answer[..second + 18]).await;
        }
        if is_over {
            return client.write_all(&answer).await;
        }
    }
}

#[tokio::test]
async fn events_are_followed_over_connections_that_are_cut() {
    let signer = signer().await;
    let front = Cutting::of(&signer).await;
    let whole = client(&signer);
    let cut = Endpoint::new(&format!("http://{}", front.address)).unwrap();
    let cut = HttpSigner::new(vec![cut], HttpOptions::default()).unwrap();
    for attempt in 0..ATTEMPTS {
        let submitted = whole.submit(&request(attempt), soon()).await.unwrap();
        let id = &submitted.job_id;
        let events = cut.events(id, None, soon()).map(Result::unwrap).collect::<Vec<_>>().await;
        let job = whole.job(id, Duration::ZERO, soon()).await.unwrap();
        if job.reason != Some(JobReason::Complete) {
            continue;
        }
        let status = JobEvent::Status;
        let groups = job.groups.iter().map(|group| JobEvent::Group(Box::new(group.clone())));
        let mut expected = vec![status(JobStatus::Queued), status(JobStatus::Running)];
        let mut seen: Vec<_> = events.iter().map(|event| event.event.clone()).collect();
        // With several threads groups are finished in any order.
        seen[2..5].sort_by_key(|event| match event {
            JobEvent::Group(group) => group.group,
            other => panic!("{other:?}"),
        });
        expected.extend(groups);
        expected.push(JobEvent::Done(Box::new(job.clone())));
        assert_eq!(seen, expected);
        let numbers: Vec<_> = events.iter().map(|event| event.number).collect();
        assert_eq!(numbers, [0, 1, 2, 3, 4, 5]);

        let rest = cut.events(id, Some(4), soon()).map(Result::unwrap).collect::<Vec<_>>().await;
        assert_eq!(rest, [NumberedEvent { number: 5, event: JobEvent::Done(Box::new(job)) }]);
        return;
    }
    panic!("the machine is too busy");
}
