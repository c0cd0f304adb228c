import CNumerics
import Glibc

/// The number of processors that this process may use: the size of its CPU set, or less if a control group sets a quota.
func availableProcessors() -> Int {
  var set = [UInt64](repeating: 0, count: 256)
  var count = 1
  if cn_sched_getaffinity(0, UInt64(set.count * 8), &set) >= 0 {
    count = set.reduce(0) { $0 + $1.nonzeroBitCount }
  }
  if let quota = cgroupQuota() { count = min(count, max(1, quota)) }
  return max(1, count)
}

/// The quota of the control group (version 2, then 1) in whole processors, rounded up; nil without a quota.
private func cgroupQuota() -> Int? {
  if let line = firstLine(of: "/sys/fs/cgroup/cpu.max") {
    let fields = line.split(separator: " ")
    guard fields.count == 2, let quota = Int(fields[0]), let period = Int(fields[1]), period > 0 else { return nil }
    return (quota + period - 1) / period
  }
  guard let quota = firstLine(of: "/sys/fs/cgroup/cpu/cpu.cfs_quota_us").flatMap({ Int($0) }),
    let period = firstLine(of: "/sys/fs/cgroup/cpu/cpu.cfs_period_us").flatMap({ Int($0) }),
    quota > 0, period > 0
  else { return nil }
  return (quota + period - 1) / period
}

private func firstLine(of path: String) -> String? {
  guard let file = fopen(path, "re") else { return nil }
  defer { fclose(file) }
  var line = [CChar](repeating: 0, count: 256)
  guard fgets(&line, Int32(line.count), file) != nil else { return nil }
  return String(decoding: line.prefix { $0 != 0 && $0 != 10 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
}
