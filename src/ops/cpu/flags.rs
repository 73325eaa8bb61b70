//! Features that tell a guest what is mitigated, and what losing others costs.
//!
//! After QEMU's `docs/system/cpu-models-x86.rst.inc` and `Documentation/admin-guide/hw-vuln` of the kernel. Which of
//! them a model has already is computed from the model's real content, for those texts lag behind.

/// When a flag may be given to a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// Wherever every host has it.
    Always,
    /// Only where sysfs says `Not affected` of this on every host: the flag tells the guest not to protect itself.
    NotAffected(&'static str),
    /// Only with this feature in the guest.
    With(&'static str),
    /// Only where this one is not given.
    Without(&'static str),
}

/// A flag that tells the guest what is fixed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flag {
    pub(super) name: &'static str,
    /// `Intel`, `AMD`, or empty for both.
    pub(super) vendor: &'static str,
    pub(super) when: When,
    pub(super) why: &'static str,
}

const fn flag(name: &'static str, vendor: &'static str, when: When, why: &'static str) -> Flag {
    Flag { name, vendor, when, why }
}

use When::{Always, NotAffected, With, Without};

/// In the order in which they are decided.
pub(super) const FLAGS: &[Flag] = &[
    flag(
        "pcid",
        "Intel",
        Always,
        "Makes the guest's Meltdown fix cheap: its page tables change without emptying the TLB.",
    ),
    flag(
        "spec-ctrl",
        "Intel",
        Always,
        "Lets the guest stop branch predictions from crossing privileges (Spectre v2).",
    ),
    flag(
        "stibp",
        "",
        Always,
        "Lets the guest keep sibling threads out of each other's branch predictor (Spectre v2).",
    ),
    flag("ssbd", "Intel", Always, "Lets the guest switch off speculative store bypass (Spectre v4)."),
    flag("md-clear", "Intel", Always, "Lets the guest clear CPU buffers on the way out of the kernel (MDS)."),
    flag("flush-l1d", "Intel", Always, "Lets a guest that runs guests empty the L1 data cache (L1TF)."),
    flag("pdpe1gb", "", Always, "Lets the guest map memory in pages of 1 GiB, which spares TLB misses."),
    flag(
        "rdctl-no",
        "Intel",
        NotAffected("meltdown"),
        "Tells the guest that the CPU has no Meltdown, so it leaves page-table isolation off.",
    ),
    flag(
        "ibrs-all",
        "Intel",
        Always,
        "Offers enhanced IBRS: protection against Spectre v2 that need not be switched at each system call.",
    ),
    flag(
        "skip-l1dfl-vmentry",
        "Intel",
        Always,
        "Tells a guest that runs guests that the host empties the L1 data cache for it.",
    ),
    flag(
        "mds-no",
        "Intel",
        NotAffected("mds"),
        "Tells the guest that the CPU has no MDS, so it clears no buffers.",
    ),
    flag(
        "pschange-mc-no",
        "Intel",
        NotAffected("itlb_multihit"),
        "Tells the guest that changing page sizes cannot hang the CPU (iTLB multihit).",
    ),
    flag(
        "taa-no",
        "Intel",
        NotAffected("tsx_async_abort"),
        "Tells the guest that aborted transactions leak nothing (TAA).",
    ),
    flag(
        "sbdr-ssdp-no",
        "Intel",
        NotAffected("mmio_stale_data"),
        "Tells the guest that reads from devices leak no stale data.",
    ),
    flag(
        "fbsdp-no",
        "Intel",
        NotAffected("mmio_stale_data"),
        "Tells the guest that fill buffers leak no stale data of devices.",
    ),
    flag(
        "psdp-no",
        "Intel",
        NotAffected("mmio_stale_data"),
        "Tells the guest that the primary stale data propagator leaks nothing.",
    ),
    flag(
        "gds-no",
        "Intel",
        NotAffected("gather_data_sampling"),
        "Tells the guest that gather instructions leak nothing (Downfall).",
    ),
    flag(
        "rfds-no",
        "Intel",
        NotAffected("reg_file_data_sampling"),
        "Tells the guest that register files leak nothing (RFDS).",
    ),
    flag(
        "rfds-clear",
        "Intel",
        Always,
        "Lets the guest clear register files on the way out of the kernel (RFDS).",
    ),
    flag(
        "tsx-ctrl",
        "Intel",
        With("rtm"),
        "Lets the guest switch transactions off, the fix for TAA where they are on.",
    ),
    flag("ibpb", "AMD", Always, "Lets the guest empty the branch predictor between processes (Spectre v2)."),
    flag(
        "ibrs",
        "AMD",
        Always,
        "Lets the guest stop branch predictions from crossing privileges (Spectre v2).",
    ),
    flag(
        "amd-stibp",
        "AMD",
        Always,
        "Lets the guest keep sibling threads out of each other's branch predictor, AMD's way to say it.",
    ),
    flag(
        "amd-no-ssb",
        "AMD",
        NotAffected("spec_store_bypass"),
        "Tells the guest that the CPU has no speculative store bypass (Spectre v4).",
    ),
    flag(
        "amd-ssbd",
        "AMD",
        Without("amd-no-ssb"),
        "Lets the guest switch off speculative store bypass the fast way (Spectre v4).",
    ),
    flag(
        "virt-ssbd",
        "AMD",
        Without("amd-no-ssb"),
        "The same for guests with old kernels, which do not know amd-ssbd.",
    ),
    flag("amd-psfd", "AMD", Always, "Lets the guest switch off predictive store forwarding."),
    flag(
        "auto-ibrs",
        "AMD",
        Always,
        "Offers automatic IBRS: protection against Spectre v2 that costs nothing at system calls.",
    ),
    flag("sbpb", "AMD", Always, "Lets the guest empty the branch predictor selectively (SRSO)."),
    flag(
        "srso-no",
        "AMD",
        NotAffected("spec_rstack_overflow"),
        "Tells the guest that return addresses cannot be mispredicted this way (SRSO).",
    ),
];

/// Bits of IA32_ARCH_CAPABILITIES: a guest reads none of them without `arch-capabilities`.
pub(super) const IN_ARCH_CAPABILITIES: &[&str] = &[
    "rdctl-no",
    "ibrs-all",
    "skip-l1dfl-vmentry",
    "mds-no",
    "pschange-mc-no",
    "taa-no",
    "sbdr-ssdp-no",
    "fbsdp-no",
    "psdp-no",
    "gds-no",
    "rfds-no",
    "rfds-clear",
    "tsx-ctrl",
];

pub(super) const ARCH_CAPABILITIES_WHY: &str =
    "Holds what the CPU says is fixed; without it the guest cannot read that.";

pub(super) const HYPERVISOR_WHY: &str =
    "Tells the guest that it is one, so that it uses the hypervisor's clocks and offers.";

/// What QEMU gives to guests of KVM although the host model does not show it: `no_autoenable_flags` in QEMU's
/// target/i386/cpu.c. A guest that runs has it in its `<cpu>`, and libvirt would say that no host has it.
pub(super) const GIVEN_BY_QEMU: &[&str] = &["topoext"];

/// What a guest loses without a feature; empty where nothing is worth saying.
pub fn cost_of(feature: &str) -> &'static str {
    match feature {
        "avx" | "avx2" | "fma" | "f16c" => {
            "vector code (media, numerics, cryptography) falls back to SSE, and systems built for x86-64-v3 do not start (RHEL 10)"
        }
        "fma4" | "xop" => "vector code (media, numerics, cryptography) falls back to SSE",
        "aes" | "pclmuldq" | "vaes" | "vpclmulqdq" | "sha-ni" | "gfni" => {
            "encryption and checksums run several times slower"
        }
        "pcid" | "invpcid" => "the Meltdown fix costs more at each system call",
        "hle" | "rtm" | "taa-no" => "nothing: transactions are switched off as unsafe on most CPUs",
        "bmi1" | "bmi2" | "abm" | "movbe" => {
            "bit tricks of compilers and cryptography, and systems built for x86-64-v3 do not start (RHEL 10)"
        }
        "adx" | "tbm" => "bit tricks of compilers and cryptography",
        "x2apic" => "interrupts cost more, and no more than 255 processors",
        "tsc-deadline" => "timers cost more",
        "rdrand" | "rdseed" => "the guest's entropy comes from elsewhere, early boot may wait for it",
        "spec-ctrl" | "ibrs" | "ibpb" | "stibp" | "amd-stibp" | "ssbd" | "amd-ssbd" | "virt-ssbd"
        | "md-clear" => "a protection against speculative execution attacks",
        "xsavec" | "xsaves" | "xsaveopt" | "xsaveerptr" => "switching tasks costs a little more",
        "3dnowprefetch" | "misalignsse" | "fxsr_opt" | "clzero" | "wbnoinvd" | "osvw" | "topoext" => {
            "nothing that guests notice"
        }
        "smap" | "smep" | "umip" | "pku" => "a protection of the guest's kernel against its own programs",
        "vme" => "real-mode programs (DOS) run slower",
        "popcnt" | "cx16" | "ssse3" | "sse4.1" | "sse4.2" | "lahf_lm" => {
            "systems built for x86-64-v2 do not start (RHEL 9)"
        }
        "sse4a" | "3dnow" | "3dnowext" | "mmxext" => "vector code of old programs runs slower",
        "rdtscp" | "rdpid" | "tsc_adjust" | "invtsc" => "reading the clock costs more",
        "erms" | "fsrm" | "clflushopt" | "clwb" | "movdiri" | "movdir64b" => {
            "copying and flushing memory is a little slower"
        }
        "fsgsbase" => "switching threads costs a little more",
        "monitor" | "waitpkg" => "nothing: hosts keep it to themselves",
        "nx" => "the guest's memory is executable: many systems refuse to start",
        "pdpe1gb" => "no pages of 1 GiB",
        "vmx" | "svm" => "the guest cannot run guests itself",
        feature if feature.starts_with("avx512") => "the widest vector code",
        _ => "",
    }
}
