//! A new machine from a map: its disks, its seed for cloud-init, its description.

use std::io::{Cursor, Write};

use super::clone::Made;
use super::{CopyWay, Domain, Host, Moving, Pool, Volume, cpu};
use crate::libvirt::Hypervisor;
use crate::model::machine::{MachineDisk, MachineNic, MachineSpec};
use crate::model::os::OsProfile;
use crate::model::pool::file_name;
use crate::model::{Bytes, Class, Fault, VolumeSpec};
use crate::xml;

/// A machine that is wanted.
#[derive(Debug, Clone, Default)]
pub struct MachineRequest {
    /// Name.
    pub name: String,
    /// Memory.
    pub memory: Bytes,
    /// Virtual processors.
    pub vcpus: u32,
    /// Disks; the first one boots.
    pub disks: Vec<DiskRequest>,
    /// Network cards.
    pub nics: Vec<MachineNic>,
    /// The path of an installer's image on the host.
    pub iso: Option<String>,
    /// What it is to run.
    pub os: Option<OsProfile>,
    /// The path of an image with drivers for virtio, for a system that has none.
    pub drivers: Option<String>,
    /// Hosts that it is to run on without its CPU changing.
    pub among: Vec<Host>,
    /// Whether it boots by UEFI.
    pub uefi: bool,
    /// The model of the CPU, where the best that migrates is not wanted.
    pub cpu: Option<String>,
    /// `kvm` or `qemu`, where the host is not to decide.
    pub virt_type: Option<String>,
    /// The text that cloud-init reads.
    pub user_data: Option<String>,
    /// Whether it is started.
    pub start: bool,
}

/// A disk that is wanted.
#[derive(Debug, Clone, Default)]
pub struct DiskRequest {
    /// The pool's name.
    pub pool: String,
    /// Its size; with an image, at least that of the image.
    pub size: Option<Bytes>,
    /// A volume of the pool that it begins as a copy of.
    pub image: Option<String>,
    /// A volume of the pool that it is.
    pub volume: Option<String>,
}

/// cloud-init takes it by this label (NoCloud), in FAT as well as on a CD.
const LABEL: [u8; 11] = *b"CIDATA     ";

fn refuse(code: &str, message: String) -> Fault {
    Fault::new(code, message).class(Class::Refused)
}

/// The image that cloud-init reads `user_data` from.
fn seed(name: &str, uuid: &str, user_data: &str) -> Result<Vec<u8>, Fault> {
    let meta_data = format!("instance-id: {uuid}\nlocal-hostname: {name}\n");
    // Room for the files and FAT's own tables, in whole MiB.
    let length = (user_data.len() + (1 << 20)).next_multiple_of(1 << 20);
    let make = || -> std::io::Result<Vec<u8>> {
        let mut image = Cursor::new(vec![0; length]);
        fatfs::format_volume(&mut image, fatfs::FormatVolumeOptions::new().volume_label(LABEL))?;
        {
            let disk = fatfs::FileSystem::new(&mut image, fatfs::FsOptions::new())?;
            for (file, text) in [("meta-data", meta_data.as_str()), ("user-data", user_data)] {
                disk.root_dir().create_file(file)?.write_all(text.as_bytes())?;
            }
        }
        Ok(image.into_inner())
    };
    make().map_err(|error| Fault::new("seed", format!("the seed for cloud-init cannot be made: {error}")))
}

impl Host {
    /// Makes a machine, defines and perhaps starts it. When a step fails, what was made is taken back.
    ///
    /// # Errors
    /// `invalid_name`, `cordoned`, `domain_exists`, `storage_vol_exist`, `too_small`; those of each step.
    pub fn create_machine(&self, wanted: &MachineRequest) -> Result<Domain, Fault> {
        file_name("domain", &wanted.name)?;
        self.refuse_cordoned()?;
        if self.domains()?.iter().any(|known| known.name() == wanted.name) {
            super::unfinished::forget(self, &wanted.name);
            let message = format!("{} has a domain {} already", self.name(), wanted.name);
            return Err(refuse("domain_exists", message).on_host(self.name()));
        }
        let mut made = Made::default();
        self.machine_parts(wanted, &mut made).inspect_err(|_| std::mem::take(&mut made).undo())
    }

    fn machine_parts(&self, wanted: &MachineRequest, made: &mut Made) -> Result<Domain, Fault> {
        let capabilities = self.capabilities_xml()?;
        let offered = ["kvm", "qemu", "test"]
            .into_iter()
            .find(|kind| capabilities.contains(&format!("<domain type='{kind}'")));
        let virt_type = wanted.virt_type.clone().unwrap_or_else(|| offered.unwrap_or("kvm").to_owned());
        let os = wanted.os.as_ref();
        let mut spec = MachineSpec {
            name: wanted.name.clone(),
            uuid: uuid::Uuid::new_v4().to_string(),
            arch: self.node_info()?.arch,
            memory: wanted.memory,
            vcpus: wanted.vcpus,
            // Of KVM all that can migrate to a host of the same kind; what QEMU itself makes up needs none.
            cpu: wanted.cpu.clone().or_else(|| (virt_type == "kvm").then(|| "host-model".to_owned())),
            uefi: wanted.uefi || os.is_some_and(|os| os.uefi),
            tpm: os.is_some_and(|os| os.tpm),
            plain: wanted.drivers.is_none() && os.is_some_and(|os| !os.virtio),
            localtime: os.is_some_and(|os| os.localtime),
            hyperv: os.is_some_and(|os| os.hyperv),
            nics: wanted.nics.clone(),
            boot: vec!["hd".to_owned()],
            virt_type,
            ..MachineSpec::default()
        };
        if wanted.cpu.is_none() && !wanted.among.is_empty() {
            let fit = self.common_cpu(&wanted.among, &spec.virt_type)?;
            let required = fit.require.iter().map(|given| given.feature.clone()).collect();
            spec.cpu_features = (fit.disable.into_keys().collect(), required);
            spec.cpu = Some(fit.model);
        }
        self.clear_unfinished(&wanted.name, self)?;
        let mut paths = Vec::new();
        for (index, disk) in wanted.disks.iter().enumerate().filter(|(_, disk)| disk.volume.is_none()) {
            let (pool, file) = (self.pool(&disk.pool)?, disk_file(wanted, index));
            pool.is_free(&file)?;
            paths.push(format!("{}/{file}", pool.type_and_path()?.1.trim_end_matches('/')));
        }
        if let (Some(_), Some(disk)) = (&wanted.user_data, wanted.disks.first()) {
            let (pool, file) = (self.pool(&disk.pool)?, seed_file(wanted));
            pool.is_free(&file)?;
            paths.push(format!("{}/{file}", pool.type_and_path()?.1.trim_end_matches('/')));
        }
        made.making = self.making(&wanted.name, &paths)?;
        for (index, disk) in wanted.disks.iter().enumerate() {
            spec.disks.push(self.machine_disk(wanted, index, disk, made)?);
        }
        if let Some(iso) = &wanted.iso {
            spec.cdroms.push(iso.clone());
            spec.boot.push("cdrom".to_owned());
        }
        spec.cdroms.extend(wanted.drivers.clone());
        if let Some(user_data) = &wanted.user_data {
            let pool = match wanted.disks.first() {
                Some(disk) => self.pool(&disk.pool)?,
                None => {
                    return Err(refuse(
                        "no_disk",
                        format!("{} has no disk: cloud-init needs one", wanted.name),
                    ));
                }
            };
            let image = seed(&wanted.name, &spec.uuid, user_data)?;
            let volume = pool.put(&seed_file(wanted), &image)?;
            made.volumes.push(volume.clone());
            spec.disks.push(MachineDisk {
                path: path_of(&pool, &volume)?,
                format: "raw".to_owned(),
                cache: None,
                read_only: true,
            });
        }
        let domain = self.define(&xml::build::machine(&spec)?, false)?;
        made.domain = Some(domain.clone());
        if wanted.start {
            domain.start(false, true)?;
        }
        Ok(domain)
    }

    /// The best CPU that this host and those can give a guest.
    fn common_cpu(&self, among: &[Self], virt_type: &str) -> Result<cpu::decide::Fit, Fault> {
        let mut hosts = among.to_vec();
        if !hosts.contains(self) {
            hosts.push(self.clone());
        }
        let of = Hypervisor { virt_type: virt_type.to_owned(), ..Hypervisor::default() };
        let fit = cpu::decide::baseline(&cpu::offers(&hosts, &of)?)?;
        cpu::confirm(&hosts, &of, &fit)?;
        Ok(fit)
    }

    fn machine_disk(
        &self,
        wanted: &MachineRequest,
        index: usize,
        disk: &DiskRequest,
        made: &mut Made,
    ) -> Result<MachineDisk, Fault> {
        let pool = self.pool(&disk.pool)?;
        let (kind, _) = pool.type_and_path()?;
        // Over the network the host's cache is in the way of a migration.
        let cache = (kind == "netfs").then(|| "none".to_owned());
        let file = disk_file(wanted, index);
        let (volume, format) = match (&disk.volume, &disk.image) {
            (Some(name), _) => {
                let volume = pool.volume(name)?;
                let format = volume.format()?;
                (volume, format)
            }
            (None, Some(image)) => {
                let image = pool.volume(image)?;
                let has = image.info()?.capacity;
                if let Some(size) = disk.size.filter(|size| *size < has) {
                    let message = format!("the image {} has {has}, more than {size}", image.name());
                    return Err(refuse("too_small", message).on_host(self.name()));
                }
                let volume = image.copy_to(&pool, &file, Some("qcow2"), CopyWay::Full, &Moving::default())?.0;
                made.volumes.push(volume.clone());
                if let Some(size) = disk.size.filter(|size| *size > has) {
                    volume.resize(size)?;
                }
                (volume, "qcow2".to_owned())
            }
            (None, None) => {
                let capacity = disk.size.unwrap_or_default();
                let spec =
                    VolumeSpec { name: file, capacity, format: "qcow2".to_owned(), ..VolumeSpec::default() };
                pool.is_free(&spec.name)?;
                let volume = pool.create_volume(&spec)?;
                made.volumes.push(volume.clone());
                (volume, "qcow2".to_owned())
            }
        };
        Ok(MachineDisk { path: path_of(&pool, &volume)?, format, cache, read_only: false })
    }
}

/// What the volume of a disk is called.
fn disk_file(wanted: &MachineRequest, index: usize) -> String {
    let number = if index == 0 { String::new() } else { format!("-{}", index + 1) };
    format!("{}{number}.qcow2", wanted.name)
}

/// What the volume with the seed is called.
fn seed_file(wanted: &MachineRequest) -> String {
    format!("{}-seed.img", wanted.name)
}

/// Where a volume is; in a plan it is not there yet.
fn path_of(pool: &Pool, volume: &Volume) -> Result<String, Fault> {
    volume.path().or_else(|_| Ok(format!("{}/{}", pool.type_and_path()?.1, volume.name())))
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn the_seed_is_what_cloud_init_looks_for() {
        let image = seed("web1", "u", "#cloud-config\n{}\n").unwrap();
        assert_eq!(image.len() % (1 << 20), 0);
        let disk = fatfs::FileSystem::new(Cursor::new(image), fatfs::FsOptions::new()).unwrap();
        assert_eq!(disk.volume_label_as_bytes().trim_ascii_end(), b"CIDATA");
        let mut text = String::new();
        disk.root_dir().open_file("meta-data").unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "instance-id: u\nlocal-hostname: web1\n");
        text.clear();
        disk.root_dir().open_file("user-data").unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "#cloud-config\n{}\n");
    }
}
