//! Guests on the bridge keep their network when a cable is pulled.

/// The longest gap between two answers in the output of `ping -D`, in seconds, and how many answers came.
fn longest_gap(ping: &str) -> (f64, usize) {
    let times: Vec<f64> = ping
        .lines()
        .filter(|line| line.contains("icmp_seq"))
        .filter_map(|line| line.strip_prefix('[')?.split(']').next()?.parse().ok())
        .collect();
    let gap = times.windows(2).map(|pair| pair[1] - pair[0]).fold(0.0, f64::max);
    (gap, times.len())
}

#[test]
fn the_gap_is_the_longest_time_without_an_answer() {
    let ping = "PING\n[100.5] 64 bytes: icmp_seq=1\n[100.75] 64 bytes: icmp_seq=2\n[102.0] 64 bytes: icmp_seq=5\n--- statistics\n";
    assert_eq!(longest_gap(ping), (1.25, 3));
}
