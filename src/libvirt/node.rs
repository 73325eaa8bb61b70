//! The host behind a connection.

use virt::connect::Connect;

use super::raw::Hypervisor;
use super::{Connection, Error, raw};
use crate::model::host::version_text;
use crate::model::{Bytes, NodeInfo, NodeMemory, Versions};

impl Connection {
    /// The host's name as the daemon knows it.
    ///
    /// # Errors
    /// What libvirt said.
    pub fn hostname(&self) -> Result<String, Error> {
        self.call(Connect::hostname)
    }

    /// Versions of libvirt and the hypervisor.
    ///
    /// # Errors
    /// What libvirt said.
    pub fn versions(&self) -> Result<Versions, Error> {
        Ok(Versions {
            libvirt: version_text(self.call(Connect::lib_version)?),
            driver: self.call(Connect::driver_type)?,
            hypervisor: version_text(self.call(Connect::hyp_version)?),
        })
    }

    /// Processors and memory.
    ///
    /// # Errors
    /// What libvirt said.
    pub fn node_info(&self) -> Result<NodeInfo, Error> {
        let info = self.call(Connect::node_info)?;
        Ok(NodeInfo {
            arch: info.model,
            memory: Bytes::from_kib(info.memory),
            cpus: info.cpus,
            mhz: info.mhz,
            numa_nodes: info.nodes,
            sockets: info.sockets,
            cores: info.cores,
            threads: info.threads,
        })
    }

    /// Memory now. A driver that knows no figures says all is free.
    ///
    /// # Errors
    /// What libvirt said.
    pub fn memory(&self) -> Result<NodeMemory, Error> {
        let total = self.node_info()?.memory;
        let stats = match self.call(raw::memory_stats) {
            Ok(stats) => stats,
            Err(error) if error.is_unsupported() => {
                let free = Bytes(self.call(Connect::free_memory).unwrap_or(total.0));
                return Ok(NodeMemory { total, free, available: free });
            }
            Err(error) => return Err(error),
        };
        let kib = |key: &str| Bytes::from_kib(stats.get(key).copied().unwrap_or(0));
        let free = kib("free");
        // The kernel's own estimate where the daemon is new enough to pass it on.
        let available = match stats.get("available") {
            Some(available) => Bytes::from_kib(*available),
            None => free.saturating_add(kib("buffers")).saturating_add(kib("cached")),
        };
        Ok(NodeMemory { total: kib("total"), free, available })
    }

    /// Idle and total time of all processors together, in ns; `None` where the driver does not know.
    ///
    /// # Errors
    /// What libvirt said.
    pub fn cpu_times(&self) -> Result<Option<(u64, u64)>, Error> {
        match self.call(raw::cpu_stats) {
            Ok(stats) => {
                let get = |key: &str| stats.get(key).copied().unwrap_or(0);
                // Waiting for a disk is idling for the processor.
                let idle = get("idle").saturating_add(get("iowait"));
                let busy =
                    ["kernel", "user", "intr"].iter().fold(0_u64, |sum, key| sum.saturating_add(get(key)));
                Ok(Some((idle, idle.saturating_add(busy))))
            }
            Err(error) if error.is_unsupported() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The capabilities XML.
    ///
    /// # Errors
    /// What libvirt said.
    pub fn capabilities(&self) -> Result<String, Error> {
        self.call(Connect::capabilities)
    }

    /// The domain capabilities XML for one kind of guest.
    ///
    /// # Errors
    /// `config_unsupported` and the like for what the host cannot run.
    pub fn domain_capabilities(&self, of: &Hypervisor) -> Result<String, Error> {
        let texts = [&of.emulator, &of.arch, &of.machine, &of.virt_type];
        for text in texts {
            super::error::no_zero_byte("a part of the question", text)?;
        }
        let texts = texts.map(|text| (!text.is_empty()).then(|| text.clone()));
        self.call(move |c| {
            let [emulator, arch, machine, virt_type] = &texts;
            let text = Option::as_deref;
            c.domain_capabilities(text(emulator), text(arch), text(machine), text(virt_type), 0)
        })
    }

    /// Whether guests of this `<cpu>` can run here: 0 no, 1 the same CPU, 2 and more.
    ///
    /// # Errors
    /// With `fail`, an incompatible CPU is `cpu_incompatible`, naming the missing features.
    pub fn compare_cpu(&self, on: &Hypervisor, cpu: &str, fail: bool) -> Result<i32, Error> {
        let (on, cpu) = (on.clone(), cpu.to_owned());
        self.call(move |c| raw::compare_hypervisor_cpu(c, &on, &cpu, fail))
    }

    /// The richest CPU that runs wherever these `<cpu>`s do, all its features spelled out; without those that cannot
    /// migrate.
    ///
    /// # Errors
    /// What libvirt said: an unknown model, vendors that differ.
    pub fn baseline_cpu(&self, on: &Hypervisor, cpus: &[String]) -> Result<String, Error> {
        let (on, cpus) = (on.clone(), cpus.to_vec());
        self.call(move |c| raw::baseline_hypervisor_cpu(c, &on, &cpus))
    }
}
