import CCovertree
import Covertree
import CovertreeBase
import CovertreeFiles
import Glibc

// Files: saving, opening and inspecting them.

extension Arguments {
  static func path(_ text: UnsafePointer<CChar>?, named name: String = "path") throws(CoverTreeError) -> String {
    guard let text else { throw CoverTreeError(.invalidArgument, "\(name): is NULL") }
    let bytes = Array(UnsafeRawBufferPointer(start: text, count: strnlen(text, 4097)))
    guard (1...4096).contains(bytes.count) else {
      throw CoverTreeError(.invalidArgument, "\(name): expected 1 to 4096 bytes, got \(bytes.isEmpty ? "0" : "more")")
    }
    // A path is bytes. Those that are not valid UTF-8 would be changed.
    guard !bytes.contains(0), let path = String(validating: bytes, as: UTF8.self) else {
      throw CoverTreeError(.invalidArgument, "\(name): expected UTF-8")
    }
    return path
  }

  fileprivate static func sections(
    _ base: UnsafePointer<covertree_section>?, _ count: Int64, _ copies: Copies
  ) throws(CoverTreeError) -> [Section] {
    guard count >= 0, count <= 4096, base != nil || count == 0 else {
      throw CoverTreeError(.invalidArgument, "sections: expected 0 to 4096 of them, got \(count)")
    }
    var sections: [Section] = []
    for index in 0..<Int(count) {
      let given = base![index]
      guard let name = given.name else { throw CoverTreeError(.invalidArgument, "sections[\(index)].name: is NULL") }
      guard let type = UInt32(exactly: given.dtype).flatMap(ElementType.init(rawValue:)), given.reserved == 0 else {
        throw CoverTreeError(
          .invalidArgument, "sections[\(index)].dtype: expected a covertree_dtype, got \(given.dtype)")
      }
      let (cells, overflow) = given.rows.multipliedReportingOverflow(by: given.columns)
      guard given.rows >= 0, given.columns >= 0, !overflow, cells < 1 << 56 else {
        throw CoverTreeError(.shape, "sections[\(index)]: an array of \(given.rows) x \(given.columns) is not possible")
      }
      let text = String(cString: name)
      guard let data = given.data ?? (cells == 0 ? UnsafeRawPointer(base) : nil) else {
        throw CoverTreeError(.invalidArgument, "sections[\(index)].data: is NULL")
      }
      func section(_ data: UnsafeRawPointer) -> Section {
        Section(name: text, type: type, rows: Int(given.rows), columns: Int(given.columns), data: data)
      }
      let bytes = UnsafeBufferPointer(start: data.assumingMemoryBound(to: UInt8.self), count: section(data).byteCount)
      sections.append(section(try copies.elements(bytes).baseAddress!))
    }
    return sections
  }
}

/// The image to save, with the caller's sections.
private func image(
  _ image: FileImage, with sections: UnsafePointer<covertree_section>?, _ count: Int64, _ copies: Copies
) throws(CoverTreeError) -> FileImage {
  var image = image
  try image.append(Arguments.sections(sections, count, copies))
  return image
}

@_cdecl("covertree_tree_save") @implementation
public func covertree_tree_save(
  _ tree: OpaquePointer?, _ path: UnsafePointer<CChar>?, _ sections: UnsafePointer<covertree_section>?,
  _ n_sections: Int64, _ options: UnsafePointer<covertree_call_options>?
) -> covertree_status {
  copying { (copies) throws(CoverTreeError) in
    let (tree, context) = try open(tree, options)
    let path = try Arguments.path(path)
    try image(tree.image(context: context), with: sections, n_sections, copies).write(to: path, context: context)
  }
}

@_cdecl("covertree_tree_encode") @implementation
public func covertree_tree_encode(
  _ tree: OpaquePointer?, _ sections: UnsafePointer<covertree_section>?, _ n_sections: Int64,
  _ options: UnsafePointer<covertree_call_options>?, _ file: UnsafeMutablePointer<OpaquePointer?>?
) -> covertree_status {
  copying { (copies) throws(CoverTreeError) in
    let (tree, context) = try open(tree, options)
    let output = try Arguments.output(file, named: "file")
    let image = try image(tree.image(context: context), with: sections, n_sections, copies)
    output.pointee = HandleTable.shared.add(FileHandle(try StoredFile(image, context: context)))
  }
}

@_cdecl("covertree_sections_save") @implementation
public func covertree_sections_save(
  _ path: UnsafePointer<CChar>?, _ input_hash: UInt64, _ sections: UnsafePointer<covertree_section>?,
  _ n_sections: Int64, _ options: UnsafePointer<covertree_call_options>?
) -> covertree_status {
  copying { (copies) throws(CoverTreeError) in
    let path = try Arguments.path(path)
    let empty = FileImage(kind: .arrays, inputHash: input_hash, sections: [])
    try image(empty, with: sections, n_sections, copies).write(to: path, context: callContext(options))
  }
}

@_cdecl("covertree_residual_save") @implementation
public func covertree_residual_save(
  _ residual: OpaquePointer?, _ path: UnsafePointer<CChar>?, _ sections: UnsafePointer<covertree_section>?,
  _ n_sections: Int64, _ options: UnsafePointer<covertree_call_options>?
) -> covertree_status {
  copying { (copies) throws(CoverTreeError) in
    let context = try callContext(options)
    let path = try Arguments.path(path)
    let image = try image(search(of: residual, context).image(context: context), with: sections, n_sections, copies)
    try image.write(to: path, context: context)
  }
}

@_cdecl("covertree_residual_encode") @implementation
public func covertree_residual_encode(
  _ residual: OpaquePointer?, _ sections: UnsafePointer<covertree_section>?, _ n_sections: Int64,
  _ options: UnsafePointer<covertree_call_options>?, _ file: UnsafeMutablePointer<OpaquePointer?>?
) -> covertree_status {
  copying { (copies) throws(CoverTreeError) in
    let context = try callContext(options)
    let output = try Arguments.output(file, named: "file")
    let image = try image(search(of: residual, context).image(context: context), with: sections, n_sections, copies)
    output.pointee = HandleTable.shared.add(FileHandle(try StoredFile(image, context: context)))
  }
}

/// Returns a file to the caller, verified on request.
private func give(
  _ flags: UInt32, _ options: UnsafePointer<covertree_call_options>?, _ file: UnsafeMutablePointer<OpaquePointer?>?,
  _ open: (_ maps: Bool) throws(CoverTreeError) -> StoredFile
) throws(CoverTreeError) {
  let output = try Arguments.output(file, named: "file")
  let (copy, verify) = (COVERTREE_OPEN_COPY.rawValue, COVERTREE_OPEN_VERIFY.rawValue)
  guard flags & ~(copy | verify) == 0 else { throw CoverTreeError(.unsupported, "flags: unknown ones in \(flags)") }
  let opened = try open(flags & copy == 0)
  if flags & verify != 0 { try opened.verify(context: callContext(options)) }
  output.pointee = HandleTable.shared.add(FileHandle(opened))
}

@_cdecl("covertree_file_open") @implementation
public func covertree_file_open(
  _ path: UnsafePointer<CChar>?, _ flags: UInt32, _ options: UnsafePointer<covertree_call_options>?,
  _ file: UnsafeMutablePointer<OpaquePointer?>?
) -> covertree_status {
  status { () throws(CoverTreeError) in
    let path = try Arguments.path(path)
    try give(flags, options, file) { (maps) throws(CoverTreeError) in try StoredFile(path: path, maps: maps) }
  }
}

@_cdecl("covertree_file_copy") @implementation
public func covertree_file_copy(
  _ bytes: UnsafeRawPointer?, _ n_bytes: Int64, _ flags: UInt32, _ options: UnsafePointer<covertree_call_options>?,
  _ file: UnsafeMutablePointer<OpaquePointer?>?
) -> covertree_status {
  status { () throws(CoverTreeError) in
    guard n_bytes >= 0, n_bytes < 1 << 56, bytes != nil || n_bytes == 0 else {
      throw CoverTreeError(.invalidArgument, "n_bytes: expected the size of the file, got \(n_bytes)")
    }
    let given = UnsafeRawBufferPointer(start: bytes, count: Int(n_bytes))
    try give(flags, options, file) { (_) throws(CoverTreeError) in try StoredFile(copying: given) }
  }
}

private func file(of handle: OpaquePointer?) throws(CoverTreeError) -> FileHandle {
  try HandleTable.shared.object(handle, FileHandle.self, named: "file")
}

@_cdecl("covertree_tree_load") @implementation
public func covertree_tree_load(
  _ file: OpaquePointer?, _ tree: UnsafeMutablePointer<OpaquePointer?>?
) -> covertree_status {
  status { () throws(CoverTreeError) in
    let stored = try CABI.file(of: file).file
    let output = try Arguments.output(tree, named: "tree")
    try AnyCoverTree.check(stored)
    output.pointee = HandleTable.shared.add(
      TreeHandle(LazyHandle { (context) throws(CoverTreeError) in try AnyCoverTree(stored, context: context) }))
  }
}

@_cdecl("covertree_residual_load") @implementation
public func covertree_residual_load(
  _ file: OpaquePointer?, _ options: UnsafePointer<covertree_residual_options>?,
  _ residual: UnsafeMutablePointer<OpaquePointer?>?
) -> covertree_status {
  status { () throws(CoverTreeError) in
    let stored = try CABI.file(of: file).file
    let output = try Arguments.output(residual, named: "residual")
    let options = try covertree_residual_options.read(options)
    let callback = options.callbackKernel(
      dim: try ResidualSearch.dimension(in: stored, hasCallback: options.kernel_fn != nil))
    output.pointee = HandleTable.shared.add(
      ResidualHandle(
        LazyHandle { (context) throws(CoverTreeError) in
          try ResidualSearch(stored, callback: callback, context: context)
        }))
  }
}

@_cdecl("covertree_index_save") @implementation
public func covertree_index_save(
  _ index: OpaquePointer?, _ path: UnsafePointer<CChar>?, _ sections: UnsafePointer<covertree_section>?,
  _ n_sections: Int64, _ options: UnsafePointer<covertree_call_options>?
) -> covertree_status {
  copying { (copies) throws(CoverTreeError) in
    let (index, context) = try opened(index, options)
    let path = try Arguments.path(path)
    try index.withImage(context: context) { (whole) throws(CoverTreeError) in
      try image(whole, with: sections, n_sections, copies).write(to: path, context: context)
    }
  }
}

@_cdecl("covertree_index_encode") @implementation
public func covertree_index_encode(
  _ index: OpaquePointer?, _ sections: UnsafePointer<covertree_section>?, _ n_sections: Int64,
  _ options: UnsafePointer<covertree_call_options>?, _ file: UnsafeMutablePointer<OpaquePointer?>?
) -> covertree_status {
  copying { (copies) throws(CoverTreeError) in
    let (index, context) = try opened(index, options)
    let output = try Arguments.output(file, named: "file")
    output.pointee = try index.withImage(context: context) { (whole) throws(CoverTreeError) in
      let image = try image(whole, with: sections, n_sections, copies)
      return HandleTable.shared.add(FileHandle(try StoredFile(image, context: context)))
    }
  }
}

@_cdecl("covertree_index_load") @implementation
public func covertree_index_load(
  _ file: OpaquePointer?, _ store: OpaquePointer?, _ options: UnsafePointer<covertree_call_options>?,
  _ index: UnsafeMutablePointer<OpaquePointer?>?
) -> covertree_status {
  status { () throws(CoverTreeError) in
    let stored = try CABI.file(of: file).file
    let output = try Arguments.output(index, named: "index")
    output.pointee = HandleTable.shared.add(IndexHandle(try loaded(stored, store, options)))
  }
}

/// The index in a file: opened on first use, or, over a store, now.
private func loaded(
  _ file: StoredFile, _ store: OpaquePointer?, _ options: UnsafePointer<covertree_call_options>?
) throws(CoverTreeError) -> LazyHandle<VectorIndex> {
  guard store != nil else {
    try VectorIndex.check(file)
    return LazyHandle { (context) throws(CoverTreeError) in try VectorIndex(file, context: context) }
  }
  return LazyHandle(try VectorIndex(file, over: opened(store: store), context: callContext(options)))
}

@_cdecl("covertree_file_get_info") @implementation
public func covertree_file_get_info(
  _ file: OpaquePointer?, _ info: UnsafeMutablePointer<covertree_file_info>?
) -> covertree_status {
  status { () throws(CoverTreeError) in
    let stored = try CABI.file(of: file).file
    try Arguments.output(info, named: "info").pointee = covertree_file_info(
      n_bytes: Int64(stored.bytes.count), bytes: stored.bytes.baseAddress, input_hash: stored.inputHash,
      kind: Int32(stored.kind.rawValue), format_version: Int32(StoredFile.formatVersion),
      n_sections: Int64(stored.sections.count))
  }
}

@_cdecl("covertree_file_get_section") @implementation
public func covertree_file_get_section(
  _ file: OpaquePointer?, _ index: Int64, _ section: UnsafeMutablePointer<covertree_section>?
) -> covertree_status {
  status { () throws(CoverTreeError) in
    let handle = try CABI.file(of: file)
    let output = try Arguments.output(section, named: "section")
    guard handle.file.sections.indices.contains(Int(index)) else {
      throw CoverTreeError(.notFound, "index: the file has \(handle.file.sections.count) sections, got \(index)")
    }
    try handle.file.verify(Int(index), context: CallContext())
    let found = handle.file.sections[Int(index)]
    output.pointee = covertree_section(
      name: handle.names[Int(index)], dtype: Int32(found.type.rawValue), reserved: 0, rows: Int64(found.rows),
      columns: Int64(found.columns), data: found.data)
  }
}

@_cdecl("covertree_file_free") @implementation
public func covertree_file_free(_ file: OpaquePointer?) { HandleTable.shared.remove(file, FileHandle.self) }

@_cdecl("covertree_hash_points") @implementation
public func covertree_hash_points(
  _ points: UnsafePointer<covertree_matrix>?, _ options: UnsafePointer<covertree_call_options>?,
  _ hash: UnsafeMutablePointer<UInt64>?
) -> covertree_status {
  status { () throws(CoverTreeError) in
    let points = try Arguments.points(Arguments.matrix(points, "points"), "points", minimum: 1)
    let output = try Arguments.output(hash, named: "hash")
    let context = try callContext(options)
    switch points {
    case .float32(let view): output.pointee = try view.hash(context: context)
    case .float64(let view): output.pointee = try view.hash(context: context)
    }
  }
}
