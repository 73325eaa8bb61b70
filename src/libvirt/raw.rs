//! The calls that the crate `virt` lacks, leaks in or makes unsoundly.
//!
//! This is the only file with `unsafe`. Facts behind it, for `virt` 0.5:
//! `Domain::job_stats` builds a `Vec` from C memory (undefined behaviour),
//! `migrate3` leaks its strings, `all_domain_stats` never frees its records,
//! `Domain::state` ignores the call's failure; the rest has no binding.

#![allow(unsafe_code)]

use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_void};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::mpsc::Sender;

use virt::connect::Connect;
use virt::domain::Domain;
use virt::stream::Stream;
use virt::sys;

use super::error::{Error, no_zero_byte};

/// One of libvirt's typed parameters.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `int` and `long long`.
    Int(i64),
    /// `unsigned int` and `unsigned long long`.
    UInt(u64),
    /// `double`.
    Double(f64),
    /// `boolean`.
    Bool(bool),
    /// `string`.
    Text(String),
}

impl Value {
    /// The value as a count, where it is a number that is not negative.
    pub fn as_u64(&self) -> Option<u64> {
        match self {
            Self::Int(number) => u64::try_from(*number).ok(),
            Self::UInt(number) => Some(*number),
            _ => None,
        }
    }
}

/// Typed parameters by name.
pub type Params = BTreeMap<String, Value>;

fn last_error() -> Error {
    virt::error::Error::last_error().into()
}

fn check(result: c_int) -> Result<c_int, Error> {
    if result < 0 { Err(last_error()) } else { Ok(result) }
}

fn c_string(what: &'static str, text: &str) -> Result<CString, Error> {
    CString::new(text).map_err(|_| Error::ZeroByte { what })
}

/// Copies a C string that stays libvirt's.
///
/// # Safety
/// `text` is null or a valid C string.
unsafe fn copy_text(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: not null, and valid by the caller's promise.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

/// Copies libvirt's parameters; the array stays the caller's to free.
///
/// # Safety
/// `params` points to `count` valid parameters, or `count` is 0.
unsafe fn copy_params(params: sys::virTypedParameterPtr, count: c_int) -> Params {
    let mut copied = Params::new();
    for at in 0..usize::try_from(count).unwrap_or(0) {
        // SAFETY: `at` is below `count`, and the array has that many by the caller's promise.
        let param = unsafe { &*params.add(at) };
        // SAFETY: libvirt ends the field's name with a zero byte.
        let name = unsafe { copy_text(param.field.as_ptr()) };
        // SAFETY: which member of the union is set is what `type_` says.
        let value = unsafe {
            match param.type_ as sys::virTypedParameterType {
                sys::VIR_TYPED_PARAM_INT => Value::Int(param.value.i.into()),
                sys::VIR_TYPED_PARAM_UINT => Value::UInt(param.value.ui.into()),
                sys::VIR_TYPED_PARAM_LLONG => Value::Int(param.value.l),
                sys::VIR_TYPED_PARAM_ULLONG => Value::UInt(param.value.ul),
                sys::VIR_TYPED_PARAM_DOUBLE => Value::Double(param.value.d),
                sys::VIR_TYPED_PARAM_BOOLEAN => Value::Bool(param.value.b != 0),
                sys::VIR_TYPED_PARAM_STRING => Value::Text(copy_text(param.value.s)),
                _ => continue,
            }
        };
        copied.insert(name, value);
    }
    copied
}

/// State and reason, as libvirt's numbers.
pub(super) fn domain_state(domain: &Domain) -> Result<(i32, i32), Error> {
    let (mut state, mut reason) = (0, 0);
    // SAFETY: the domain is alive while borrowed; both out-pointers are ours.
    check(unsafe { sys::virDomainGetState(domain.as_ptr(), &mut state, &mut reason, 0) })?;
    Ok((state, reason))
}

/// `virDomainGetJobStats`: the job's type and its figures.
pub(super) fn job_stats(domain: &Domain, flags: u32) -> Result<(i32, Params), Error> {
    let (mut kind, mut params, mut count) = (0, ptr::null_mut(), 0);
    // SAFETY: the domain is alive while borrowed; the out-pointers are ours.
    check(unsafe { sys::virDomainGetJobStats(domain.as_ptr(), &mut kind, &mut params, &mut count, flags) })?;
    // SAFETY: libvirt filled `count` parameters, which are ours to free from now on.
    unsafe {
        let copied = copy_params(params, count);
        sys::virTypedParamsFree(params, count);
        Ok((kind, copied))
    }
}

/// `virDomainAbortJob`.
pub(super) fn abort_job(domain: &Domain) -> Result<(), Error> {
    // SAFETY: the domain is alive while borrowed.
    check(unsafe { sys::virDomainAbortJob(domain.as_ptr()) }).map(drop)
}

/// `virDomainMigrateStartPostCopy`.
pub(super) fn start_post_copy(domain: &Domain) -> Result<(), Error> {
    // SAFETY: the domain is alive while borrowed.
    check(unsafe { sys::virDomainMigrateStartPostCopy(domain.as_ptr(), 0) }).map(drop)
}

/// One domain's row of [`all_domain_stats`].
#[derive(Debug, Clone)]
pub(super) struct StatsRow {
    pub(super) name: String,
    pub(super) uuid: String,
    pub(super) params: Params,
}

/// `virConnectGetAllDomainStats`: every domain in one round trip.
pub(super) fn all_domain_stats(connect: &Connect, groups: u32, flags: u32) -> Result<Vec<StatsRow>, Error> {
    let mut records: *mut sys::virDomainStatsRecordPtr = ptr::null_mut();
    // SAFETY: the connection is alive while borrowed; the out-pointer is ours.
    let count =
        check(unsafe { sys::virConnectGetAllDomainStats(connect.as_ptr(), groups, &mut records, flags) })?;
    let mut rows = Vec::with_capacity(usize::try_from(count).unwrap_or(0));
    for at in 0..usize::try_from(count).unwrap_or(0) {
        // SAFETY: libvirt returned `count` valid records.
        let record = unsafe { &**records.add(at) };
        let mut uuid = [0 as c_char; sys::VIR_UUID_STRING_BUFLEN as usize];
        // SAFETY: the record's domain is valid until the list is freed below; the buffer has the
        // length that the header asks for. Both calls read the handle and make no round trip.
        unsafe {
            sys::virDomainGetUUIDString(record.dom, uuid.as_mut_ptr());
            rows.push(StatsRow {
                name: copy_text(sys::virDomainGetName(record.dom)),
                uuid: copy_text(uuid.as_ptr()),
                params: copy_params(record.params, record.nparams),
            });
        }
    }
    // SAFETY: the list came from virConnectGetAllDomainStats and nothing of it is kept.
    unsafe { sys::virDomainStatsRecordListFree(records) };
    Ok(rows)
}

/// A parameter for [`migrate`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Argument {
    Text(&'static str, String),
    Count(&'static str, u64),
    Number(&'static str, i32),
}

/// Parameters in libvirt's own memory, freed when dropped.
struct Arguments {
    params: sys::virTypedParameterPtr,
    count: c_int,
    room: c_int,
}

impl Drop for Arguments {
    fn drop(&mut self) {
        // SAFETY: the array was allocated by virTypedParamsAdd* (or is null), which freeing accepts.
        unsafe { sys::virTypedParamsFree(self.params, self.count) };
    }
}

impl Arguments {
    fn new(arguments: &[Argument]) -> Result<Self, Error> {
        let mut list = Self { params: ptr::null_mut(), count: 0, room: 0 };
        for argument in arguments {
            let (params, count, room) = (&mut list.params, &mut list.count, &mut list.room);
            // SAFETY: libvirt copies names and values, and grows the array it allocated itself.
            let added = unsafe {
                match argument {
                    Argument::Text(name, text) => {
                        let (name, text) = (c_string("a parameter", name)?, c_string(name, text)?);
                        sys::virTypedParamsAddString(params, count, room, name.as_ptr(), text.as_ptr())
                    }
                    Argument::Count(name, number) => {
                        let name = c_string("a parameter", name)?;
                        sys::virTypedParamsAddULLong(params, count, room, name.as_ptr(), *number)
                    }
                    Argument::Number(name, number) => {
                        let name = c_string("a parameter", name)?;
                        sys::virTypedParamsAddInt(params, count, room, name.as_ptr(), *number)
                    }
                }
            };
            check(added)?;
        }
        Ok(list)
    }
}

/// `virDomainMigrate3`, driven by this client from both ends; returns the domain at the target.
pub(super) fn migrate(
    domain: &Domain,
    target: &Connect,
    arguments: &[Argument],
    flags: u32,
) -> Result<Domain, Error> {
    let list = Arguments::new(arguments)?;
    // SAFETY: domain and target are alive while borrowed; libvirt only reads the parameters.
    let moved = unsafe {
        sys::virDomainMigrate3(
            domain.as_ptr(),
            target.as_ptr(),
            list.params,
            c_uint::try_from(list.count).unwrap_or(0),
            flags,
        )
    };
    if moved.is_null() {
        return Err(last_error());
    }
    // SAFETY: a domain that libvirt returned with one reference, which is ours.
    Ok(unsafe { Domain::from_ptr(moved) })
}

/// `virNodeGetMemoryStats` over all cells, in KiB.
pub(super) fn memory_stats(connect: &Connect) -> Result<BTreeMap<String, u64>, Error> {
    let all_cells = sys::VIR_NODE_MEMORY_STATS_ALL_CELLS;
    let mut count: c_int = 0;
    // SAFETY: with a null array the call only reports how many figures there are.
    check(unsafe {
        sys::virNodeGetMemoryStats(connect.as_ptr(), all_cells, ptr::null_mut(), &mut count, 0)
    })?;
    let room = usize::try_from(count).unwrap_or(0);
    let mut stats = vec![sys::_virNodeMemoryStats { field: [0; 80], value: 0 }; room];
    // SAFETY: the array has the `count` places that libvirt asked for.
    check(unsafe {
        sys::virNodeGetMemoryStats(connect.as_ptr(), all_cells, stats.as_mut_ptr(), &mut count, 0)
    })?;
    stats.truncate(usize::try_from(count).unwrap_or(0));
    // SAFETY: libvirt ends each field's name with a zero byte.
    Ok(stats.iter().map(|stat| (unsafe { copy_text(stat.field.as_ptr()) }, stat.value)).collect())
}

/// `virNodeGetCPUStats` over all processors, in ns.
pub(super) fn cpu_stats(connect: &Connect) -> Result<BTreeMap<String, u64>, Error> {
    let all = sys::VIR_NODE_CPU_STATS_ALL_CPUS;
    let mut count: c_int = 0;
    // SAFETY: with a null array the call only reports how many figures there are.
    check(unsafe { sys::virNodeGetCPUStats(connect.as_ptr(), all, ptr::null_mut(), &mut count, 0) })?;
    let room = usize::try_from(count).unwrap_or(0);
    let mut stats = vec![sys::_virNodeCPUStats { field: [0; 80], value: 0 }; room];
    // SAFETY: the array has the `count` places that libvirt asked for.
    check(unsafe { sys::virNodeGetCPUStats(connect.as_ptr(), all, stats.as_mut_ptr(), &mut count, 0) })?;
    stats.truncate(usize::try_from(count).unwrap_or(0));
    // SAFETY: libvirt ends each field's name with a zero byte.
    Ok(stats.iter().map(|stat| (unsafe { copy_text(stat.field.as_ptr()) }, stat.value)).collect())
}

/// Which hypervisor a CPU question is about; empty texts leave libvirt its choice.
#[derive(Debug, Clone, Default)]
pub struct Hypervisor {
    /// Path of the emulator.
    pub emulator: String,
    /// Guest architecture.
    pub arch: String,
    /// Machine type.
    pub machine: String,
    /// `kvm` or `qemu`.
    pub virt_type: String,
}

fn optional(what: &'static str, text: &str) -> Result<Option<CString>, Error> {
    if text.is_empty() { Ok(None) } else { c_string(what, text).map(Some) }
}

fn pointer(text: &Option<CString>) -> *const c_char {
    text.as_ref().map_or(ptr::null(), |text| text.as_ptr())
}

/// `virConnectCompareHypervisorCPU`: 0 incompatible, 1 identical, 2 superset.
/// With `fail`, an incompatible CPU is an error that names the missing features.
pub(super) fn compare_hypervisor_cpu(
    connect: &Connect,
    on: &Hypervisor,
    cpu: &str,
    fail: bool,
) -> Result<i32, Error> {
    let (emulator, arch) = (optional("emulator", &on.emulator)?, optional("arch", &on.arch)?);
    let (machine, virt_type) = (optional("machine", &on.machine)?, optional("type", &on.virt_type)?);
    let cpu = c_string("the CPU", cpu)?;
    let flags = if fail { sys::VIR_CONNECT_COMPARE_CPU_FAIL_INCOMPATIBLE } else { 0 };
    // SAFETY: all strings live until the call has returned; null is allowed for the first four.
    check(unsafe {
        sys::virConnectCompareHypervisorCPU(
            connect.as_ptr(),
            pointer(&emulator),
            pointer(&arch),
            pointer(&machine),
            pointer(&virt_type),
            cpu.as_ptr(),
            flags,
        )
    })
}

/// `virConnectBaselineHypervisorCPU` with all features spelled out, without those that cannot migrate.
pub(super) fn baseline_hypervisor_cpu(
    connect: &Connect,
    on: &Hypervisor,
    cpus: &[String],
) -> Result<String, Error> {
    let (emulator, arch) = (optional("emulator", &on.emulator)?, optional("arch", &on.arch)?);
    let (machine, virt_type) = (optional("machine", &on.machine)?, optional("type", &on.virt_type)?);
    let cpus = cpus.iter().map(|cpu| c_string("the CPU", cpu)).collect::<Result<Vec<_>, _>>()?;
    let mut texts: Vec<*const c_char> = cpus.iter().map(|cpu| cpu.as_ptr()).collect();
    let flags = sys::VIR_CONNECT_BASELINE_CPU_EXPAND_FEATURES | sys::VIR_CONNECT_BASELINE_CPU_MIGRATABLE;
    // SAFETY: all strings and the array of pointers to them live until the call has returned, and the array is as
    // long as is said; null is allowed for the first four.
    let found = unsafe {
        sys::virConnectBaselineHypervisorCPU(
            connect.as_ptr(),
            pointer(&emulator),
            pointer(&arch),
            pointer(&machine),
            pointer(&virt_type),
            texts.as_mut_ptr(),
            c_uint::try_from(texts.len()).unwrap_or(0),
            flags,
        )
    };
    if found.is_null() {
        return Err(last_error());
    }
    // SAFETY: libvirt returned a C string, which is ours to free.
    unsafe {
        let text = copy_text(found);
        nix::libc::free(found.cast());
        Ok(text)
    }
}

/// Why a connection closed by itself: -1 while it is open, else libvirt's reason
/// (0 error, 1 end of file, 2 keepalive, 3 closed by the client).
pub(super) type CloseReason = Arc<AtomicI32>;

unsafe extern "C" fn on_close(_: sys::virConnectPtr, reason: c_int, opaque: *mut c_void) {
    // SAFETY: `opaque` is the Arc that `watch_close` leaked for this callback and
    // `free_reason` has not yet taken back; it is only borrowed here.
    let reason_kept = unsafe { &*opaque.cast::<AtomicI32>() };
    reason_kept.store(reason, Ordering::Release);
}

unsafe extern "C" fn free_reason(opaque: *mut c_void) {
    // SAFETY: called once by libvirt, with the pointer that Arc::into_raw made.
    drop(unsafe { Arc::from_raw(opaque.cast::<AtomicI32>()) });
}

/// Notes in `reason` when the connection breaks. Undo with [`unwatch_close`], or
/// the callback's own reference keeps the connection open for ever.
pub(super) fn watch_close(connect: &Connect, reason: &CloseReason) -> Result<(), Error> {
    let opaque = Arc::into_raw(Arc::clone(reason)).cast_mut().cast::<c_void>();
    // SAFETY: the callbacks match libvirt's types; `opaque` lives until libvirt calls `free_reason`.
    let result = unsafe {
        sys::virConnectRegisterCloseCallback(connect.as_ptr(), Some(on_close), opaque, Some(free_reason))
    };
    if result < 0 {
        let error = last_error();
        // SAFETY: not registered, so libvirt will never free it.
        unsafe { free_reason(opaque) };
        return Err(error);
    }
    Ok(())
}

/// Undoes [`watch_close`].
pub(super) fn unwatch_close(connect: &Connect) {
    // SAFETY: the connection is alive while borrowed; unregistering what is not registered is an error
    // that libvirt reports and we need not.
    unsafe { sys::virConnectUnregisterCloseCallback(connect.as_ptr(), Some(on_close)) };
}

/// A lifecycle event as libvirt's numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RawEvent {
    pub(super) domain: String,
    pub(super) uuid: String,
    pub(super) event: i32,
    pub(super) detail: i32,
}

unsafe extern "C" fn on_lifecycle(
    _: sys::virConnectPtr,
    domain: sys::virDomainPtr,
    event: c_int,
    detail: c_int,
    opaque: *mut c_void,
) -> c_int {
    let mut uuid = [0 as c_char; sys::VIR_UUID_STRING_BUFLEN as usize];
    // SAFETY: the domain is valid during the callback, the buffer long enough, and `opaque` is the
    // boxed sender that lives until libvirt calls `free_sender`.
    unsafe {
        sys::virDomainGetUUIDString(domain, uuid.as_mut_ptr());
        let sender = &*opaque.cast::<Sender<RawEvent>>();
        // A receiver that is gone is about to deregister; the event is nobody's any more.
        let _ = sender.send(RawEvent {
            domain: copy_text(sys::virDomainGetName(domain)),
            uuid: copy_text(uuid.as_ptr()),
            event,
            detail,
        });
    }
    0
}

unsafe extern "C" fn free_sender(opaque: *mut c_void) {
    // SAFETY: called once by libvirt, with the pointer that Box::into_raw made.
    drop(unsafe { Box::from_raw(opaque.cast::<Sender<RawEvent>>()) });
}

/// Sends every lifecycle event of the connection; returns the id for [`unsubscribe`].
pub(super) fn subscribe_lifecycle(connect: &Connect, sender: Sender<RawEvent>) -> Result<i32, Error> {
    type Lifecycle =
        unsafe extern "C" fn(sys::virConnectPtr, sys::virDomainPtr, c_int, c_int, *mut c_void) -> c_int;
    type Generic = unsafe extern "C" fn(sys::virConnectPtr, sys::virDomainPtr, *mut c_void);
    let opaque = Box::into_raw(Box::new(sender)).cast::<c_void>();
    // SAFETY: libvirt's VIR_DOMAIN_EVENT_CALLBACK: for the lifecycle id it calls the pointer with
    // the lifecycle signature, whatever type it was passed as.
    let callback = unsafe { std::mem::transmute::<Lifecycle, Generic>(on_lifecycle) };
    // SAFETY: a null domain asks for all domains; `opaque` lives until `free_sender`.
    let id = unsafe {
        sys::virConnectDomainEventRegisterAny(
            connect.as_ptr(),
            ptr::null_mut(),
            sys::VIR_DOMAIN_EVENT_ID_LIFECYCLE as c_int,
            Some(callback),
            opaque,
            Some(free_sender),
        )
    };
    if id < 0 {
        let error = last_error();
        // SAFETY: not registered, so libvirt will never free it.
        unsafe { free_sender(opaque) };
        return Err(error);
    }
    Ok(id)
}

/// Ends [`subscribe_lifecycle`].
pub(super) fn unsubscribe(connect: &Connect, id: i32) {
    // SAFETY: the connection is alive while borrowed; a wrong id is an error, not a fault.
    unsafe { sys::virConnectDomainEventDeregisterAny(connect.as_ptr(), id) };
}

/// Opens a connection. `virt`'s own call panics on a zero byte in the URI.
pub(super) fn open(uri: &str, read_only: bool) -> Result<Connect, Error> {
    no_zero_byte("the URI", uri)?;
    let opened = if read_only { Connect::open_read_only(Some(uri)) } else { Connect::open(Some(uri)) };
    opened.map_err(Error::from)
}

/// What a sparse stream has next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// So many bytes of data; 0 at the end.
    Data(usize),
    /// So many zeros.
    Hole(u64),
}

/// `virStreamRecvFlags` and `virStreamRecvHole`: data, or the hole that comes before the next.
pub(super) fn receive(stream: &Stream, into: &mut [u8]) -> Result<Part, Error> {
    let stop_at_hole = sys::VIR_STREAM_RECV_STOP_AT_HOLE as c_uint;
    // SAFETY: the stream is alive while borrowed; libvirt writes at most `into.len()` bytes to it.
    let got = unsafe {
        sys::virStreamRecvFlags(stream.as_ptr(), into.as_mut_ptr().cast(), into.len(), stop_at_hole)
    };
    if got == -3 {
        let mut length = 0;
        // SAFETY: the stream is alive while borrowed; the out-pointer is ours.
        check(unsafe { sys::virStreamRecvHole(stream.as_ptr(), &mut length, 0) })?;
        return Ok(Part::Hole(u64::try_from(length).unwrap_or(0)));
    }
    Ok(Part::Data(usize::try_from(check(got)?).unwrap_or(0)))
}

/// `virStreamSendHole`.
pub(super) fn send_hole(stream: &Stream, length: u64) -> Result<(), Error> {
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    // SAFETY: the stream is alive while borrowed.
    check(unsafe { sys::virStreamSendHole(stream.as_ptr(), length, 0) }).map(drop)
}
