//! `<cpu>` of guests, the host model in domain capabilities, and libvirt's map of models.

use std::collections::{BTreeMap, BTreeSet};

use roxmltree::{Document, Node};
use serde::Serialize;

use super::Error;

/// A guest's `<cpu>`: what decides which features it gets.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GuestCpu {
    /// `custom`, `host-model`, `host-passthrough`, `maximum`; empty where it is not said.
    pub mode: String,
    /// The named model; empty where there is none.
    pub model: String,
    /// The vendor that the host must have, where one is asked for.
    pub vendor: String,
    /// What libvirt compares at a start: `none`, `partial`, `full`; empty where it is not said.
    pub check: String,
    /// Policies by feature: `require`, `disable`, `force`, `optional`, `forbid`.
    pub features: BTreeMap<String, String>,
}

fn own_text(node: Node<'_, '_>, name: &str) -> String {
    let child = node.children().find(|child| child.has_tag_name(name));
    child.and_then(|child| child.text()).unwrap_or_default().trim().to_owned()
}

impl GuestCpu {
    fn of(node: Node<'_, '_>) -> Self {
        let features = node.children().filter(|child| child.has_tag_name("feature"));
        let policy = |feature: Node<'_, '_>| {
            let name = feature.attribute("name")?;
            Some((name.to_owned(), feature.attribute("policy").unwrap_or("require").to_owned()))
        };
        Self {
            mode: node.attribute("mode").unwrap_or_default().to_owned(),
            model: own_text(node, "model"),
            vendor: own_text(node, "vendor"),
            check: node.attribute("check").unwrap_or_default().to_owned(),
            features: features.filter_map(policy).collect(),
        }
    }

    /// Reads a `<cpu>`.
    ///
    /// # Errors
    /// Text that is no XML.
    pub fn read(xml: &str) -> Result<Self, Error> {
        let tree = Document::parse(xml).map_err(|error| Error::new("CPU", error))?;
        Ok(Self::of(tree.root_element()))
    }

    /// A named model with features on and off.
    pub fn named<'a>(
        model: &str,
        disable: impl IntoIterator<Item = &'a String>,
        require: impl IntoIterator<Item = &'a String>,
    ) -> Self {
        let off = disable.into_iter().map(|feature| (feature.clone(), "disable".to_owned()));
        let on = require.into_iter().map(|feature| (feature.clone(), "require".to_owned()));
        let features = off.chain(on).collect();
        Self { mode: "custom".into(), model: model.to_owned(), features, ..Self::default() }
    }

    /// As XML, to ask libvirt about.
    ///
    /// # Errors
    /// Names that XML cannot hold.
    pub fn write(&self) -> Result<String, Error> {
        #[derive(Serialize)]
        struct Cpu<'a> {
            #[serde(rename = "@mode")]
            mode: &'a str,
            #[serde(rename = "@match")]
            fits: &'a str,
            model: &'a str,
            #[serde(skip_serializing_if = "str::is_empty")]
            vendor: &'a str,
            feature: Vec<Feature<'a>>,
        }
        #[derive(Serialize)]
        struct Feature<'a> {
            #[serde(rename = "@policy")]
            policy: &'a str,
            #[serde(rename = "@name")]
            name: &'a str,
        }
        let feature = self.features.iter().map(|(name, policy)| Feature { policy, name }).collect();
        let cpu = Cpu { mode: "custom", fits: "exact", model: &self.model, vendor: &self.vendor, feature };
        quick_xml::se::to_string_with_root("cpu", &cpu).map_err(|error| Error::new("CPU", error))
    }

    /// Features with one of these policies.
    pub fn with(&self, policies: &[&str]) -> impl Iterator<Item = &String> {
        let wanted = policies.iter().map(|policy| (*policy).to_owned()).collect::<BTreeSet<_>>();
        self.features.iter().filter(move |(_, policy)| wanted.contains(*policy)).map(|(name, _)| name)
    }
}

/// The host model in domain capabilities: what the hypervisor can offer. `None` where it has none.
///
/// # Errors
/// Text that is no such XML.
pub fn host_model(xml: &str) -> Result<Option<GuestCpu>, Error> {
    let tree = Document::parse(xml).map_err(|error| Error::new("domain capabilities", error))?;
    let mode = tree.descendants().find(|node| {
        node.has_tag_name("mode")
            && node.attribute("name") == Some("host-model")
            && node.attribute("supported") == Some("yes")
    });
    Ok(mode.map(GuestCpu::of).filter(|cpu| !cpu.model.is_empty()))
}

/// One model of the map.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MapModel {
    /// `Intel`, `AMD`, …; empty for models that are nobody's.
    pub vendor: String,
    /// All its features, those of the models it builds on too.
    pub features: BTreeSet<String>,
}

/// libvirt's cpu_map: what each model contains.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CpuMap {
    /// Models by name.
    pub models: BTreeMap<String, MapModel>,
    /// All features that libvirt knows.
    pub features: BTreeSet<String>,
    /// Features with which a guest cannot migrate.
    pub unmovable: BTreeSet<String>,
}

impl CpuMap {
    /// Reads the map's files, each by itself; those of other architectures and index files add nothing.
    ///
    /// # Errors
    /// Text that is no XML.
    pub fn read<'a>(files: impl IntoIterator<Item = &'a str>) -> Result<Self, Error> {
        let mut map = Self::default();
        let mut bases: Vec<(String, String)> = Vec::new();
        for file in files {
            let tree = Document::parse(file.trim()).map_err(|error| Error::new("cpu_map", error))?;
            for node in tree.descendants() {
                let top = node
                    .parent_element()
                    .is_some_and(|up| up.has_tag_name("cpus") || up.has_tag_name("arch"));
                let (Some(name), true) = (node.attribute("name"), top) else { continue };
                if node.has_tag_name("feature") {
                    map.features.insert(name.to_owned());
                    if node.attribute("migratable") == Some("no") {
                        map.unmovable.insert(name.to_owned());
                    }
                } else if node.has_tag_name("model") {
                    let named =
                        |tag: &'static str| node.children().filter(move |child| child.has_tag_name(tag));
                    // A feature that the model has lost in the meantime is kept there for running guests.
                    let kept = named("feature").filter(|feature| feature.attribute("removed") != Some("yes"));
                    let model = MapModel {
                        vendor: named("vendor")
                            .find_map(|vendor| vendor.attribute("name"))
                            .unwrap_or_default()
                            .into(),
                        features: kept
                            .filter_map(|feature| feature.attribute("name"))
                            .map(str::to_owned)
                            .collect(),
                    };
                    bases.extend(
                        named("model")
                            .filter_map(|base| Some((name.to_owned(), base.attribute("name")?.to_owned()))),
                    );
                    map.models.insert(name.to_owned(), model);
                }
            }
        }
        map.inherit(&bases);
        Ok(map)
    }

    /// Maps of old versions build models on others. Each round resolves one step; a circle ends with the rounds.
    fn inherit(&mut self, bases: &[(String, String)]) {
        for _ in 0..bases.len() {
            for (name, base) in bases {
                let Some(base) = self.models.get(base).cloned() else { continue };
                if let Some(model) = self.models.get_mut(name) {
                    model.features.extend(base.features);
                    if model.vendor.is_empty() {
                        model.vendor = base.vendor;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_map_tells_what_models_contain_and_what_cannot_move() {
        let features = "<!-- x --><cpus><feature name='avx'><cpuid/></feature><feature name='invtsc' migratable='no'/></cpus>";
        let new = "<cpus><model name='New'><signature family='6'/><vendor name='Intel'/><feature name='avx'/>\
                   <feature name='mpx' removed='yes'/></model></cpus>";
        let old = "<cpus><arch name='x86'><model name='Older'><model name='New'/><feature name='sse'/></model></arch></cpus>";
        let map = CpuMap::read([features, new, old]).unwrap();
        assert_eq!(map.models["New"].features, BTreeSet::from(["avx".to_owned()]));
        assert_eq!(map.models["Older"].features, BTreeSet::from(["avx".to_owned(), "sse".to_owned()]));
        assert_eq!(map.models["Older"].vendor, "Intel");
        assert_eq!(map.unmovable, BTreeSet::from(["invtsc".to_owned()]));
        assert_eq!(map.features.len(), 2);
        assert!(CpuMap::read(["<cpus>"]).is_err());
    }

    #[test]
    fn a_guests_cpu_is_read_and_written() {
        let text = "<cpu mode='custom' match='exact'><model fallback='forbid'>Penryn</model><vendor>Intel</vendor>\
                    <feature policy='disable' name='avx'/><feature name='vmx'/></cpu>";
        let cpu = GuestCpu::read(text).unwrap();
        assert_eq!(
            (cpu.model.as_str(), cpu.vendor.as_str(), cpu.mode.as_str()),
            ("Penryn", "Intel", "custom")
        );
        assert_eq!(cpu.with(&["require", "force"]).collect::<Vec<_>>(), ["vmx"]);
        assert_eq!(GuestCpu::read(&cpu.write().unwrap()).unwrap(), cpu);
        let caps = [
            "<domainCapabilities><cpu><mode name='host-model' supported='yes'>",
            text,
            "</mode></cpu></domainCapabilities>",
        ];
        assert_eq!(host_model(&caps.concat()).unwrap(), None, "the model is a level deeper");
        let inner = text.split_once('>').unwrap().1.replace("</cpu>", "");
        let caps = [caps[0], &inner, caps[2]].concat();
        assert_eq!(host_model(&caps).unwrap().unwrap().features, cpu.features);
    }
}
