//! Server-sent events.

use http::StatusCode;
use serde_json::json;

use super::*;

/// Number, name and data of each event.
fn parsed(text: &str) -> Vec<(usize, String, Value)> {
    let event = |block: &str| {
        let mut lines = block.lines();
        let mut field =
            |name: &str| lines.next().and_then(|line| line.strip_prefix(name)).expect(name);
        let number = field("id: ").parse().expect("a number");
        let name = field("event: ").to_owned();
        (number, name, serde_json::from_str(field("data: ")).expect("JSON"))
    };
    text.split_terminator("\n\n").map(event).collect()
}

async fn events(signer: &Signer, path: &str, last: Option<&str>) -> Answer {
    let headers: Vec<_> = last.map(|last| ("last-event-id", last)).into_iter().collect();
    let path = format!("{path}/events");
    signer.client.send(Method::GET, &path, &headers, Bytes::new()).await.unwrap()
}

#[tokio::test]
async fn events_tell_all_that_happens_and_go_on_where_they_were_cut_off() {
    let signer = signer().await;
    let done = complete(&signer, &mut job(&[group(1), group(2)])).await.json();
    let path = path(&done);
    let answer = events(&signer, &path, None).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.content_type(), "text/event-stream");
    let all = parsed(answer.text());
    let expected = [
        (0, "status".to_owned(), json!({ "status": "queued" })),
        (1, "status".to_owned(), json!({ "status": "running" })),
        (2, "group".to_owned(), done["groups"][0].clone()),
        (3, "group".to_owned(), done["groups"][1].clone()),
        (4, "done".to_owned(), done),
    ];
    assert_eq!(all, expected);
    for last in 0..=4 {
        let rest = events(&signer, &path, Some(&last.to_string())).await;
        assert_eq!(rest.status, StatusCode::OK);
        assert_eq!(parsed(rest.text()), expected[last + 1..], "{last}");
    }
    for wrong in ["-1", "x", "", "99999999999999999999999"] {
        let refused = events(&signer, &path, Some(wrong)).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{wrong}");
        assert!(refused.text().contains("Last-Event-ID"), "{}", refused.text());
    }
}

#[tokio::test]
async fn who_follows_a_job_learns_that_it_was_cancelled() {
    let signer = signer().await;
    for attempt in 0..ATTEMPTS {
        let path = path_of(&signer, &endless_job(&signer, attempt).await).await;
        until(&signer, &path, "running").await;
        let (followed, cancelled) =
            tokio::join!(events(&signer, &path, Some("0")), delete(&signer, &path));
        if cancelled.status == StatusCode::OK {
            // It was over before it could be cancelled.
            continue;
        }
        assert_eq!(cancelled.status, StatusCode::ACCEPTED);
        let followed = parsed(followed.text());
        assert_eq!(followed[0], (1, "status".to_owned(), json!({ "status": "running" })));
        let (_, name, job) = followed.last().unwrap();
        assert_eq!((name.as_str(), &job["status"]), ("done", &json!("cancelled")));
        return;
    }
    panic!("the machine is too busy");
}
