//! Which aggregates to merge: those that, together with the singles, cover the most positions.
//!
//! Up to 16 that add anything the choice is exact; above, the one that adds most is taken again and
//! again. Equal coverage goes to fewer children, then to those that come first in canonical order.

use alloc::vec::Vec;

use crate::bits::Bits;

/// Most children of an exact choice: at most 2^16 sets.
const EXACT: usize = 16;

/// Appends the indices in `children` of the best choice to `chosen`, upwards.
///
/// `singles` is what is covered anyway. `removable` are the positions that may be in several chosen
/// children, because their surplus can be taken away again.
pub(super) fn select(
    children: &[(usize, Bits)],
    singles: &Bits,
    removable: &Bits,
    chosen: &mut Vec<usize>,
) {
    let mut useful: [Option<(usize, Bits)>; EXACT] = [None; EXACT];
    let mut count = 0;
    for &(index, bits) in children.iter().filter(|(_, bits)| !bits.is_subset(singles)) {
        if let Some(place) = useful.get_mut(count) {
            *place = Some((index, bits));
        }
        count += 1;
    }
    if count > EXACT {
        greedy(children, singles, removable, chosen);
        return;
    }
    let mut search =
        Search { children: &useful, removable, best: Choice { set: 0, coverage: singles.count() } };
    search.descend(0, 0, &Bits::empty(singles.len()), singles);
    let best = search.best.set;
    let picked = useful.iter().flatten().enumerate().filter(|(place, _)| best & (1 << place) != 0);
    chosen.extend(picked.map(|(_, &(index, _))| index));
}

/// A set of children, one bit for each, and the positions that it and the singles cover.
#[derive(Clone, Copy)]
struct Choice {
    set: u16,
    coverage: u32,
}

struct Search<'c> {
    children: &'c [Option<(usize, Bits)>; EXACT],
    removable: &'c Bits,
    best: Choice,
}

impl Search<'_> {
    /// Tries all sets that extend `set` by children from `next` on. A set that is not allowed has no
    /// allowed extension. Sets with an earlier child come first, so that only a better one replaces
    /// the best.
    fn descend(&mut self, next: usize, set: u16, joined: &Bits, covered: &Bits) {
        let coverage = covered.count();
        let best = self.best;
        if coverage > best.coverage
            || coverage == best.coverage && set.count_ones() < best.set.count_ones()
        {
            self.best = Choice { set, coverage };
        }
        let Some(Some((_, bits))) = self.children.get(next) else { return };
        let rest = self.children[next..].iter().flatten();
        let reach = rest.fold(*covered, |reach, (_, bits)| reach.union(bits)).count();
        let best = self.best;
        if reach < best.coverage
            || reach == best.coverage && set.count_ones() + 1 >= best.set.count_ones()
        {
            return;
        }
        if joined.intersection(bits).is_subset(self.removable) {
            self.descend(next + 1, set | 1 << next, &joined.union(bits), &covered.union(bits));
        }
        self.descend(next + 1, set, joined, covered);
    }
}

fn greedy(children: &[(usize, Bits)], singles: &Bits, removable: &Bits, chosen: &mut Vec<usize>) {
    let (mut joined, mut covered) = (Bits::empty(singles.len()), *singles);
    loop {
        let allowed = |bits: &Bits| joined.intersection(bits).is_subset(removable);
        let mut best: Option<(u32, usize, Bits)> = None;
        for &(index, bits) in children.iter().filter(|(_, bits)| allowed(bits)) {
            let coverage = covered.union(&bits).count();
            if coverage > best.map_or(covered.count(), |(most, ..)| most) {
                best = Some((coverage, index, bits));
            }
        }
        let Some((_, index, bits)) = best else { break };
        joined = joined.union(&bits);
        covered = covered.union(&bits);
        chosen.push(index);
    }
    chosen.sort_unstable();
}
