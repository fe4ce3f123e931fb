//! Following a job by its events, over as many connections as it takes.

use std::{collections::VecDeque, time::Duration};

use futures_util::stream;
use reqwest::Response;
use tokio::time::{sleep, timeout};

use super::{
    HttpSigner, aggregation,
    event_stream::{EventReader, RawEvent},
    exchange, wait_after,
};
use crate::{
    client::{AggregationError, BoxStream, Deadline, SignError},
    wire::aggregation::{JobEvent, NumberedEvent},
};

const MALFORMED: SignError = SignError::Malformed("expected the events of an aggregation job");

/// One who follows a job.
struct Following<'a> {
    signer: &'a HttpSigner,
    path: String,
    deadline: Deadline,
    /// The last event that was read.
    last: Option<u64>,
    connection: Option<(Response, EventReader)>,
    ready: VecDeque<NumberedEvent>,
    /// Failures without an event between them that are still borne.
    retries_left: u32,
    pause: Duration,
    is_over: bool,
}

impl HttpSigner {
    pub(super) fn follow<'a>(
        &'a self,
        job_id: &str,
        after: Option<u64>,
        deadline: Deadline,
    ) -> BoxStream<'a, Result<NumberedEvent, AggregationError>> {
        let following = aggregation::path_of(job_id).map(|path| Following {
            signer: self,
            path: format!("{path}/events"),
            deadline,
            last: after,
            connection: None,
            ready: VecDeque::new(),
            retries_left: self.options.max_retries,
            pause: self.options.retry_pause,
            is_over: false,
        });
        Box::pin(stream::unfold(Some(following), async |following| match following? {
            Ok(mut following) => match following.next().await {
                Ok(Some(event)) => Some((Ok(event), Some(Ok(following)))),
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            },
            Err(error) => Some((Err(error), None)),
        }))
    }
}

impl Following<'_> {
    /// `None` after the last event.
    async fn next(&mut self) -> Result<Option<NumberedEvent>, AggregationError> {
        loop {
            if self.is_over {
                return Ok(None);
            }
            if let Some(event) = self.ready.pop_front() {
                self.is_over = matches!(event.event, JobEvent::Done(_));
                return Ok(Some(event));
            }
            match timeout(self.deadline.remaining(), self.fill()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => self.bear(error).await?,
                Err(_) => return Err(SignError::DeadlinePassed.into()),
            }
        }
    }

    /// Reads what comes next, on a new connection if need be.
    async fn fill(&mut self) -> Result<(), AggregationError> {
        let (response, reader) = if let Some(connection) = &mut self.connection {
            connection
        } else {
            let response = self.connect().await?;
            self.connection.insert((response, EventReader::default()))
        };
        let bytes = response.chunk().await.map_err(exchange::transport)?;
        // It ended before the job did.
        let bytes = bytes.ok_or(SignError::Malformed("the events end before the job does"))?;
        for event in reader.read(&bytes).map_err(|_| MALFORMED)? {
            let number = event.id.parse().map_err(|_| MALFORMED)?;
            if self.last.is_some_and(|last| number <= last) {
                // A signer that does not resume says again what is known.
                continue;
            }
            // What can't be read is asked for again, and is an error if it stays so: behind it the
            // caller would never learn that a group is missing.
            let event = read(&event)?;
            self.last = Some(number);
            self.retries_left = self.signer.options.max_retries;
            self.pause = self.signer.options.retry_pause;
            if let Some(event) = event {
                self.ready.push_back(NumberedEvent { number, event });
            }
        }
        Ok(())
    }

    async fn connect(&self) -> Result<Response, AggregationError> {
        // A job is known where it was submitted.
        let first = &self.signer.connections[0];
        let response = first.open_events(&self.path, self.last).await;
        let response = response.map_err(exchange::transport)?;
        if response.status().is_success() {
            return Ok(response);
        }
        let answer = exchange::read(response).await.map_err(exchange::transport)?;
        match answer.success() {
            Ok(_) => Err(MALFORMED.into()),
            Err(error) => Err(aggregation::refusal(&answer, error)),
        }
    }

    /// Waits before the next connection, or gives the error back.
    async fn bear(&mut self, error: AggregationError) -> Result<(), AggregationError> {
        let was_connected = self.connection.take().is_some();
        let wait = match &error {
            AggregationError::Signer(error)
                if error.is_transient()
                    || (was_connected && matches!(error, SignError::Malformed(_))) =>
            {
                wait_after(error, self.pause)
            }
            _ => return Err(error),
        };
        if self.retries_left == 0 || wait >= self.deadline.remaining() {
            return Err(error);
        }
        self.retries_left -= 1;
        self.pause = self.pause.saturating_mul(2);
        sleep(wait).await;
        Ok(())
    }
}

/// What an event says; `None` if this version does not know it.
fn read(event: &RawEvent) -> Result<Option<JobEvent>, SignError> {
    #[derive(serde::Deserialize)]
    struct Status {
        status: crate::wire::aggregation::JobStatus,
    }
    let data = event.data.as_str();
    let read = match event.name.as_str() {
        "status" => serde_json::from_str(data).map(|Status { status }| JobEvent::Status(status)),
        "group" => serde_json::from_str(data).map(JobEvent::Group),
        "done" => serde_json::from_str(data).map(JobEvent::Done),
        _ => return Ok(None),
    };
    read.map(Some).map_err(|_| MALFORMED)
}
