//! Which hosts are meant.

use wildmatch::WildMatch;

use crate::model::{Class, Fault, HostEntry, Inventory, suggest};

/// The hosts that the patterns name, in the inventory's order, each once; all
/// hosts when there is no pattern. A pattern is a name, a glob (`h2-*`),
/// `@group` or `tag:word`.
///
/// # Errors
/// `unknown_host` when a pattern names nothing.
pub fn select<'a>(inventory: &'a Inventory, patterns: &[String]) -> Result<Vec<&'a HostEntry>, Fault> {
    let mut chosen = vec![patterns.is_empty(); inventory.hosts.len()];
    for pattern in patterns {
        let mut hits = 0;
        let fits = matcher(inventory, pattern)?;
        for (at, (name, host)) in inventory.hosts.iter().enumerate() {
            if fits(name, host) {
                chosen[at] = true;
                hits += 1;
            }
        }
        if hits == 0 {
            return Err(unknown(inventory, pattern));
        }
    }
    Ok(inventory.hosts.values().zip(chosen).filter(|(_, chosen)| *chosen).map(|(host, _)| host).collect())
}

type Fits = Box<dyn Fn(&str, &HostEntry) -> bool>;

fn matcher(inventory: &Inventory, pattern: &str) -> Result<Fits, Fault> {
    if let Some(group) = pattern.strip_prefix('@') {
        let members = inventory.groups.get(group).ok_or_else(|| unknown(inventory, pattern))?;
        let members: Vec<WildMatch> = members.iter().map(|member| WildMatch::new(member)).collect();
        return Ok(Box::new(move |name, _| members.iter().any(|member| member.matches(name))));
    }
    if let Some(tag) = pattern.strip_prefix("tag:") {
        let tag = tag.to_owned();
        return Ok(Box::new(move |_, host| host.tags.contains(&tag)));
    }
    let glob = WildMatch::new(pattern);
    Ok(Box::new(move |name, _| glob.matches(name)))
}

fn unknown(inventory: &Inventory, pattern: &str) -> Fault {
    let place = inventory
        .path
        .as_ref()
        .map_or_else(|| "there is no inventory".to_owned(), |path| format!("not in {}", path.display()));
    let hosts = || inventory.hosts.keys().map(String::as_str);
    let (message, names): (_, Vec<&str>) = if let Some(group) = pattern.strip_prefix('@') {
        let what =
            if inventory.groups.contains_key(group) { "group {} has no hosts" } else { "unknown group {}" };
        (what.replace("{}", group), inventory.groups.keys().map(String::as_str).collect())
    } else if let Some(tag) = pattern.strip_prefix("tag:") {
        let tags = inventory.hosts.values().flat_map(|host| &host.tags).map(String::as_str);
        (format!("no host has the tag {tag}"), tags.collect())
    } else if pattern.contains(['*', '?']) {
        (format!("no host fits {pattern}"), Vec::new())
    } else {
        (format!("unknown host {pattern}"), hosts().collect())
    };
    let word = pattern.trim_start_matches('@').trim_start_matches("tag:");
    let hint = suggest::did_you_mean(word, names.iter().copied()).or_else(|| match inventory.hosts.len() {
        0 => Some("add it with: kvmsh hosts add NAME ADDRESS".to_owned()),
        1..=12 => Some(format!("known hosts: {}", hosts().collect::<Vec<_>>().join(", "))),
        _ => Some("see: kvmsh hosts list".to_owned()),
    });
    let fault = Fault::new("unknown_host", format!("{message}: {place}")).class(Class::Connect);
    match hint {
        Some(hint) => fault.hint(hint),
        None => fault,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inventory() -> Inventory {
        super::super::parse(
            std::path::Path::new("hosts.toml"),
            "[hosts]\nh2-a = {address = 'a', tags = ['ssd']}\nh2-b = {address = 'b'}\ndb = {address = 'c', tags = ['ssd']}\n\
             [groups]\npair = ['h2-*']\nnone = []\n",
        )
        .unwrap()
    }

    fn names(patterns: &[&str]) -> Result<Vec<String>, Fault> {
        let patterns: Vec<String> = patterns.iter().map(ToString::to_string).collect();
        Ok(select(&inventory(), &patterns)?.iter().map(|host| host.target.name.clone()).collect())
    }

    #[test]
    fn hosts_are_chosen_by_name_glob_group_and_tag_each_once() {
        assert_eq!(names(&[]).unwrap(), ["db", "h2-a", "h2-b"]);
        assert_eq!(names(&["h2-b", "h2-*", "h2-a"]).unwrap(), ["h2-a", "h2-b"]);
        assert_eq!(names(&["@pair"]).unwrap(), ["h2-a", "h2-b"]);
        assert_eq!(names(&["tag:ssd"]).unwrap(), ["db", "h2-a"]);
    }

    #[test]
    fn what_names_nothing_is_a_connection_error_with_a_suggestion() {
        for (pattern, message, hint) in [
            ("h2a", "unknown host h2a: not in hosts.toml", "did you mean `h2-a`?"),
            ("zz", "unknown host zz: not in hosts.toml", "known hosts: db, h2-a, h2-b"),
            ("@piar", "unknown group piar: not in hosts.toml", "did you mean `pair`?"),
            ("@none", "group none has no hosts: not in hosts.toml", "did you mean `none`?"),
            ("tag:sdd", "no host has the tag sdd: not in hosts.toml", "did you mean `ssd`?"),
            ("x*", "no host fits x*: not in hosts.toml", "known hosts: db, h2-a, h2-b"),
        ] {
            let fault = names(&[pattern]).unwrap_err();
            assert_eq!((fault.message.as_str(), fault.hint.as_deref()), (message, Some(hint)));
            assert_eq!((fault.class, fault.code.as_str()), (Class::Connect, "unknown_host"));
        }
    }
}
