import CCovertree
import CNumerics
import Covertree
import CovertreeBase
import Glibc

// Version, errors and threads.

nonisolated(unsafe) private let buildInfo = strdup(
  "covertree \(COVERTREE_VERSION_MAJOR).\(COVERTREE_VERSION_MINOR).\(COVERTREE_VERSION_PATCH) "
    + String(cString: cn_cpu_level()))

@_cdecl("covertree_version_number") @implementation
public func covertree_version_number() -> UInt32 {
  UInt32(10000 * COVERTREE_VERSION_MAJOR + 100 * COVERTREE_VERSION_MINOR + COVERTREE_VERSION_PATCH)
}

@_cdecl("covertree_abi_version") @implementation
public func covertree_abi_version() -> UInt32 { UInt32(COVERTREE_ABI_VERSION) }

@_cdecl("covertree_build_info") @implementation
public func covertree_build_info() -> In<CChar> { UnsafePointer(buildInfo) }

@_cdecl("covertree_last_error") @implementation
public func covertree_last_error() -> In<CChar> { LastError.message }

@_cdecl("covertree_last_errno") @implementation
public func covertree_last_errno() -> Int32 { LastError.code }

@_cdecl("covertree_set_num_threads") @implementation
public func covertree_set_num_threads(_ n_threads: Int32) -> covertree_status {
  status { () throws(CoverTreeError) in defaultThreadCount = try Arguments.threadCount(n_threads) }
}

@_cdecl("covertree_get_num_threads") @implementation
public func covertree_get_num_threads() -> Int32 { Int32(defaultThreadCount) }
