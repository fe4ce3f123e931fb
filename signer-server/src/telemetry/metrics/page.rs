//! One category's part of the page, and how metrics are put on it.

use std::{fmt, sync::atomic::AtomicU64};

use prometheus_client::{
    encoding::text,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Metric, Registry},
};

use super::{
    labels::{ByLabel, Label},
    names::{self, Name},
    summary::{Summary, SummaryFamily},
};

type Labels<const N: usize> = [(&'static str, &'static str); N];

/// The metrics of one category.
#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) registry: Registry,
    summaries: Vec<SummaryFamily>,
}

impl Page {
    fn register<M: Metric + Clone>(&mut self, name: Name, metric: M) -> M {
        self.registry.register(name.family, name.help, metric.clone());
        metric
    }

    pub(super) fn counter(&mut self, name: Name) -> Counter {
        self.register(name, Counter::default())
    }

    pub(super) fn gauge(&mut self, name: Name) -> Gauge {
        self.register(name, Gauge::default())
    }

    /// A gauge that is no whole number.
    pub(super) fn fractional_gauge(&mut self, name: Name) -> Gauge<f64, AtomicU64> {
        self.register(name, Gauge::default())
    }

    pub(super) fn histogram(&mut self, name: Name, buckets: &[f64]) -> Histogram {
        self.register(name, Histogram::new(buckets.iter().copied()))
    }

    pub(super) fn counter_with<const N: usize>(
        &mut self,
        name: Name,
        labels: &Labels<N>,
    ) -> Counter {
        self.register(name, Family::<Labels<N>, Counter>::default()).get_or_create_owned(labels)
    }

    pub(super) fn counters<L: Label>(&mut self, name: Name) -> ByLabel<L, Counter> {
        let family = self.register(name, Family::<Labels<1>, Counter>::default());
        ByLabel::new(|value: L| family.get_or_create_owned(&[(L::NAME, value.text())]))
    }

    pub(super) fn counters_by_two<A: Label, B: Label>(
        &mut self,
        name: Name,
    ) -> ByLabel<A, ByLabel<B, Counter>> {
        let family = self.register(name, Family::<Labels<2>, Counter>::default());
        ByLabel::new(|first: A| {
            ByLabel::new(|second: B| {
                let labels = [(A::NAME, first.text()), (B::NAME, second.text())];
                family.get_or_create_owned(&labels)
            })
        })
    }

    pub(super) fn gauges<L: Label>(&mut self, name: Name) -> ByLabel<L, Gauge> {
        let family = self.register(name, Family::<Labels<1>, Gauge>::default());
        ByLabel::new(|value: L| family.get_or_create_owned(&[(L::NAME, value.text())]))
    }

    /// Histograms of durations.
    pub(super) fn histograms<L: Label>(&mut self, name: Name) -> ByLabel<L, Histogram> {
        let family: Family<Labels<1>, Histogram> =
            Family::new_with_constructor(|| Histogram::new(names::DURATION_BUCKETS));
        let family = self.register(name, family);
        ByLabel::new(|value: L| family.get_or_create_owned(&[(L::NAME, value.text())]))
    }

    pub(super) fn summary(&mut self, name: Name, labels: &Labels<2>) -> Summary {
        let mut family = SummaryFamily::new(name);
        let summary = family.add(labels);
        self.summaries.push(family);
        summary
    }

    pub(super) fn bare_summary(&mut self, name: Name) -> Summary {
        let mut family = SummaryFamily::new(name);
        let summary = family.add(&[]);
        self.summaries.push(family);
        summary
    }

    pub(super) fn summaries<L: Label>(&mut self, name: Name) -> ByLabel<L, Summary> {
        let mut family = SummaryFamily::new(name);
        let summaries = ByLabel::new(|value: L| family.add(&[(L::NAME, value.text())]));
        self.summaries.push(family);
        summaries
    }

    /// Appends the category's metrics.
    pub(super) fn write(&self, page: &mut String) -> fmt::Result {
        text::encode_registry(page, &self.registry)?;
        self.summaries.iter().try_for_each(|family| family.write(page))
    }
}
