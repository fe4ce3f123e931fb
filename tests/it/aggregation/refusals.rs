//! What is refused, and with which status.

use http::StatusCode;
use serde_json::json;

use super::*;

#[tokio::test]
async fn a_body_that_is_no_job_is_refused_with_what_is_wrong() {
    let signer = options().root("--aggregation-max-body-size=4096").start().await.unwrap();
    let snapshot = job(&[group(1)]);
    let with = |name: &str, value: Value| {
        let mut job = snapshot.clone();
        job[name] = value;
        job.to_string()
    };
    let cases = [
        (String::new(), 400, "the body is no snapshot"),
        ("{".to_owned(), 400, "the body is no snapshot"),
        (with("slot", json!([])), 400, "slot"),
        (with("groups", json!([{ "kind": "raw" }])), 400, "groups[0]"),
        (with("surprise", json!(1)), 400, "surprise"),
        (with("version", json!(2)), 422, "version is 2"),
        (with("slot", json!("1")), 422, "slot 1 is outside of the window"),
        (with("fork_name", json!("deneb")), 422, "fork_name is"),
        (with("groups", json!([])), 422, "groups is empty"),
        (with("deadline_ms", json!(12_001)), 422, "deadline_ms is 12001"),
        (with("lane", json!("x".repeat(4096))), 413, "4096"),
    ];
    for (body, status, message) in cases {
        let answer = post(&signer, JOBS, body.clone()).await;
        assert_eq!(answer.status.as_u16(), status, "{body}: {}", answer.text());
        assert!(answer.text().contains(message), "{message}: {}", answer.text());
        let ends = answer.headers.get("connection").is_some_and(|value| value == "close");
        assert_eq!(ends, status == 413, "the rest of a body that is too large is not read");
    }
    let table = put_table(&signer, &large_table().0, large_table().1).await;
    assert_eq!(table.status, StatusCode::PAYLOAD_TOO_LARGE, "{}", table.text());

    let typed = async |media_type: &str| {
        let headers = [("content-type", media_type)];
        let body = snapshot.to_string();
        signer.client.send(Method::POST, JOBS, &headers, body).await.unwrap()
    };
    for media_type in ["text/plain", "application/ssz", ""] {
        let answer = typed(media_type).await;
        assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{media_type}");
    }
    let as_ssz = typed("Application/Octet-Stream").await;
    assert_eq!(as_ssz.status, StatusCode::BAD_REQUEST);
    assert!(as_ssz.text().contains("no snapshot in SSZ"), "{}", as_ssz.text());
    for parameters in ["wait=maybe", "wait_ms=5"] {
        let answer = post(&signer, &format!("{JOBS}?{parameters}"), snapshot.to_string()).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{parameters}");
    }
    assert_eq!(get(&signer, STATUS).await.json()["jobs"], 0, "nothing was taken");
    assert_eq!(typed("application/json; charset=utf-8").await.status, StatusCode::ACCEPTED);
}

#[tokio::test]
async fn a_job_that_is_not_there_is_not_found() {
    let signer = signer().await;
    let path = path_of(&signer, &job(&[group(1)])).await;
    for parameters in ["wait_ms=10001", "wait_ms=-1", "wait=true"] {
        let answer = get(&signer, &format!("{path}?{parameters}")).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{parameters}");
    }
    let unknown = format!("agg_{}", "0".repeat(32));
    let capital = path.rsplit('/').next().unwrap().to_uppercase();
    for id in [unknown.as_str(), "agg_0", "nothing", "%ff", &capital] {
        for path in [format!("{JOBS}/{id}"), format!("{JOBS}/{id}/events")] {
            let answer = get(&signer, &path).await;
            assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
            assert!(answer.text().contains("no such job"), "{path}: {}", answer.text());
        }
        let answer = delete(&signer, &format!("{JOBS}/{id}")).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{id}");
    }
}

#[tokio::test]
async fn a_job_that_is_no_longer_kept_is_gone_but_its_end_is_known() {
    let signer = options().root("--aggregation-max-jobs=1").start().await.unwrap();
    let mut snapshot = job(&[group(1)]);
    let first = path(&complete(&signer, &mut snapshot).await.json());
    let mut newest = job(&[group(2)]);
    let second = complete(&signer, &mut newest).await.json();
    for answer in [
        get(&signer, &first).await,
        get(&signer, &format!("{first}/events")).await,
        delete(&signer, &first).await,
    ] {
        assert_eq!(answer.status, StatusCode::GONE, "{}", answer.text());
        assert!(answer.text().contains("ended as done: complete"), "{}", answer.text());
    }
    assert_eq!(submit(&signer, &newest).await.json(), second, "the newest is kept");
    let anew = submit(&signer, &snapshot).await;
    assert_eq!(anew.status, StatusCode::ACCEPTED, "it may be submitted again");
}
