//! The search for places. Pure: values in, a placement out.
//!
//! Hardest guests first (fewest possible hosts, then most memory), each to the
//! host that keeps the most free memory, which spreads the load. Where that
//! leaves a guest without a place, each to the host it fits most tightly, and
//! where that fails too, a bounded search over all combinations. No host is
//! ever given more than its room.

use crate::model::{Assignment, Bytes, Fault, Guest, Placement, Room, Unplaced};

/// How many steps the search over combinations takes at most: 200 guests on 16
/// hosts stay well under a second.
const SEARCH_STEPS: usize = 200_000;

/// Places guests on hosts.
pub fn place(guests: &[Guest], rooms: &[Room]) -> Placement {
    let order = hardest_first(guests, rooms);
    let chosen = greedy(guests, rooms, &order, Choice::Spread);
    let best = if chosen.contains(&None) {
        let tight = greedy(guests, rooms, &order, Choice::Tight);
        let found = if tight.contains(&None) { search(guests, rooms, &order) } else { Some(tight.clone()) };
        // Nothing places everyone: keep the attempt that places most.
        found.unwrap_or_else(|| if placed(&tight) > placed(&chosen) { tight } else { chosen })
    } else {
        chosen
    };
    report(guests, rooms, &best)
}

fn placed(hosts: &[Option<usize>]) -> usize {
    hosts.iter().flatten().count()
}

fn allowed(guest: &Guest, host: usize) -> bool {
    guest.blockers.get(host).is_none_or(Vec::is_empty)
}

fn hardest_first(guests: &[Guest], rooms: &[Room]) -> Vec<usize> {
    let candidates = |guest: &Guest| (0..rooms.len()).filter(|&host| allowed(guest, host)).count();
    let mut order: Vec<usize> = (0..guests.len()).collect();
    order.sort_by_key(|&at| (candidates(&guests[at]), std::cmp::Reverse(guests[at].memory), at));
    order
}

#[derive(Clone, Copy, PartialEq)]
enum Choice {
    Spread,
    Tight,
}

fn greedy(guests: &[Guest], rooms: &[Room], order: &[usize], choice: Choice) -> Vec<Option<usize>> {
    let mut free: Vec<Bytes> = rooms.iter().map(|room| room.free).collect();
    let mut vcpus: Vec<u64> = rooms.iter().map(|room| room.vcpus).collect();
    let mut hosts = vec![None; guests.len()];
    for &at in order {
        let guest = &guests[at];
        let fitting = (0..rooms.len()).filter(|&host| allowed(guest, host) && free[host] >= guest.memory);
        let load = |host: usize| vcpus[host] * 1000 / rooms[host].cpus.max(1);
        let host = match choice {
            Choice::Spread => fitting.min_by_key(|&host| (std::cmp::Reverse(free[host]), load(host), host)),
            Choice::Tight => fitting.min_by_key(|&host| (free[host], load(host), host)),
        };
        if let Some(host) = host {
            free[host] = free[host].saturating_sub(guest.memory);
            vcpus[host] += guest.vcpus;
            hosts[at] = Some(host);
        }
    }
    hosts
}

/// All combinations, hardest guest first, until one places everyone or the steps are used up.
fn search(guests: &[Guest], rooms: &[Room], order: &[usize]) -> Option<Vec<Option<usize>>> {
    fn descend(
        guests: &[Guest],
        order: &[usize],
        free: &mut [Bytes],
        hosts: &mut [Option<usize>],
        steps: &mut usize,
    ) -> bool {
        let Some((&at, rest)) = order.split_first() else { return true };
        let guest = &guests[at];
        let mut fitting: Vec<usize> =
            (0..free.len()).filter(|&host| allowed(guest, host) && free[host] >= guest.memory).collect();
        fitting.sort_by_key(|&host| free[host]);
        for host in fitting {
            *steps = steps.saturating_sub(1);
            if *steps == 0 {
                return false;
            }
            free[host] = Bytes(free[host].0 - guest.memory.0);
            hosts[at] = Some(host);
            if descend(guests, rest, free, hosts, steps) {
                return true;
            }
            free[host] = Bytes(free[host].0 + guest.memory.0);
            hosts[at] = None;
        }
        false
    }
    let mut free: Vec<Bytes> = rooms.iter().map(|room| room.free).collect();
    let mut hosts = vec![None; guests.len()];
    let mut steps = SEARCH_STEPS;
    descend(guests, order, &mut free, &mut hosts, &mut steps).then_some(hosts)
}

fn report(guests: &[Guest], rooms: &[Room], hosts: &[Option<usize>]) -> Placement {
    let mut left: Vec<Bytes> = rooms.iter().map(|room| room.free).collect();
    for (at, host) in hosts.iter().enumerate() {
        if let Some(host) = *host {
            left[host] = left[host].saturating_sub(guests[at].memory);
        }
    }
    let mut placement = Placement::default();
    for (at, host) in hosts.iter().enumerate() {
        match *host {
            Some(host) => placement.assigned.push(Assignment {
                guest: at,
                host,
                why: why(&guests[at], rooms, host, left[host]),
            }),
            None => placement.unplaced.push(unplaced(at, &guests[at], rooms, &left)),
        }
    }
    placement
}

fn why(guest: &Guest, rooms: &[Room], host: usize, left: Bytes) -> String {
    let others: Vec<usize> = (0..rooms.len()).filter(|&other| other != host).collect();
    let could = others.iter().filter(|&&other| allowed(guest, other)).count();
    let room = &rooms[host];
    let free = if guest.memory == Bytes::default() {
        "takes no memory while it is off".to_owned()
    } else {
        format!("{} free there, {left} after all moves", room.free)
    };
    match (others.is_empty(), could) {
        (true, _) => free,
        (false, 0) => {
            let reasons = others.iter().filter_map(|&other| guest.blockers.get(other)?.first());
            let reasons: Vec<String> = reasons.map(|fault| fault.message.clone()).collect();
            format!("{free}; the only host that can take it ({})", reasons.join("; "))
        }
        _ => free,
    }
}

fn unplaced(at: usize, guest: &Guest, rooms: &[Room], left: &[Bytes]) -> Unplaced {
    let mut reasons = Vec::new();
    let mut lacks_memory = false;
    for (host, room) in rooms.iter().enumerate() {
        if !allowed(guest, host) {
            reasons.extend(guest.blockers.get(host).into_iter().flatten().cloned());
            continue;
        }
        lacks_memory = true;
        let lacking = guest.memory.saturating_sub(left[host]);
        let message = if guest.memory > room.free {
            format!(
                "{} needs {}, {} has {} free: {} too little",
                guest.name, guest.memory, room.name, room.free, lacking
            )
        } else {
            format!(
                "{} needs {}, {} has {} free, of which the other guests take all but {}: {} too little",
                guest.name, guest.memory, room.name, room.free, left[host], lacking
            )
        };
        reasons.push(
            Fault::new("no_room", message)
                .class(crate::model::Class::Refused)
                .on_host(&room.name)
                .on_object("domain", &guest.name),
        );
    }
    if rooms.is_empty() {
        reasons.push(
            Fault::new("no_target", format!("there is no other host that {} could go to", guest.name))
                .class(crate::model::Class::Refused)
                .on_object("domain", &guest.name),
        );
    }
    Unplaced { guest: at, lacks_memory, reasons }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn guest(name: &str, gib: u64) -> Guest {
        Guest { name: name.into(), memory: Bytes(gib << 30), vcpus: 1, blockers: Vec::new() }
    }

    fn room(name: &str, gib: u64) -> Room {
        Room { name: name.into(), free: Bytes(gib << 30), total: Bytes(gib << 31), cpus: 4, vcpus: 0 }
    }

    fn places(placement: &Placement) -> Vec<usize> {
        placement.assigned.iter().map(|a| a.host).collect()
    }

    #[test]
    fn the_load_is_spread() {
        let placement = place(&[guest("a", 2), guest("b", 2)], &[room("x", 8), room("y", 8)]);
        assert_eq!(places(&placement), [0, 1]);
        assert_eq!(placement.assigned[0].why, "8 GiB free there, 6 GiB after all moves");
    }

    #[test]
    fn a_puzzle_that_neither_spreading_nor_packing_solves_is_searched() {
        // Spreading puts 4 and 3 apart and strands a 3; the only answer is 4+2 | 3+3.
        let guests = [guest("a", 4), guest("b", 3), guest("c", 3), guest("d", 2)];
        let placement = place(&guests, &[room("x", 6), room("y", 6)]);
        assert!(placement.unplaced.is_empty(), "{placement:?}");
    }

    #[test]
    fn who_lacks_how_much_where_is_said() {
        let placement = place(&[guest("db1", 9)], &[room("x", 8)]);
        let unplaced = &placement.unplaced[0];
        assert!(unplaced.lacks_memory);
        assert_eq!(unplaced.reasons[0].message, "db1 needs 9 GiB, x has 8 GiB free: 1 GiB too little");
    }

    #[test]
    fn a_blocked_guest_says_why_for_each_host_and_is_no_lack_of_memory() {
        let mut stuck = guest("gpu", 1);
        stuck.blockers = vec![vec![Fault::new("hostdev", "has a PCI device")], vec![]];
        let placement = place(&[stuck.clone()], &[room("x", 8)]);
        assert!(!placement.unplaced[0].lacks_memory);
        assert_eq!(placement.unplaced[0].reasons[0].code, "hostdev");
        assert_eq!(places(&place(&[stuck], &[room("x", 8), room("y", 8)])), [1]);
    }

    proptest! {
        #[test]
        fn no_host_is_ever_overcommitted_and_nobody_goes_where_it_is_blocked(
            sizes in prop::collection::vec(0u64..9, 0..12),
            rooms in prop::collection::vec(0u64..20, 0..4),
            blocked in prop::collection::vec(any::<bool>(), 48),
        ) {
            let rooms: Vec<Room> = rooms.iter().map(|gib| room("r", *gib)).collect();
            let guests: Vec<Guest> = sizes.iter().enumerate().map(|(at, gib)| Guest {
                blockers: (0..rooms.len())
                    .map(|host| if blocked[at * 4 + host] { vec![Fault::new("b", "b")] } else { vec![] })
                    .collect(),
                ..guest("g", *gib)
            }).collect();
            let placement = place(&guests, &rooms);
            prop_assert_eq!(placement.assigned.len() + placement.unplaced.len(), guests.len());
            let mut used = vec![0u64; rooms.len()];
            for assignment in &placement.assigned {
                prop_assert!(allowed(&guests[assignment.guest], assignment.host));
                used[assignment.host] += guests[assignment.guest].memory.0;
            }
            for (host, used) in used.iter().enumerate() {
                prop_assert!(*used <= rooms[host].free.0);
            }
            for unplaced in &placement.unplaced {
                prop_assert!(!unplaced.reasons.is_empty());
            }
        }
    }
}
