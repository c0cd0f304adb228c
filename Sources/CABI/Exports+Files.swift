import CCovertree
import Covertree
import CovertreeBase
import CovertreeFiles
import Glibc

// Files: saving, opening and inspecting them.

extension Arguments {
  static func path(_ text: In<CChar>, named name: String = "path") throws(CoverTreeError) -> String {
    let text = try required(text, name)
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
    _ base: In<covertree_section>, _ count: Int64, _ copies: Copies
  ) throws(CoverTreeError) -> [Section] {
    guard count >= 0, count <= 4096, base != nil || count == 0 else {
      throw CoverTreeError(.invalidArgument, "sections: expected 0 to 4096 of them, got \(count)")
    }
    var sections: [Section] = []
    for index in 0..<Int(count) {
      let given = base![index]
      let name = String(cString: try required(given.name, "sections[\(index)].name"))
      guard let type = UInt32(exactly: given.dtype).flatMap(ElementType.init(rawValue:)), given.reserved == 0 else {
        throw CoverTreeError(
          .invalidArgument, "sections[\(index)].dtype: expected a covertree_dtype, got \(given.dtype)")
      }
      let (cells, overflow) = given.rows.multipliedReportingOverflow(by: given.columns)
      guard given.rows >= 0, given.columns >= 0, !overflow, cells < 1 << 56 else {
        throw CoverTreeError(.shape, "sections[\(index)]: an array of \(given.rows) x \(given.columns) is not possible")
      }
      let data = try cells == 0 ? UnsafeRawPointer(base!) : required(given.data, "sections[\(index)].data")
      let bytes = UnsafeBufferPointer(
        start: data.assumingMemoryBound(to: UInt8.self), count: Int(cells) * type.byteCount)
      sections.append(
        Section(
          name: name, type: type, rows: Int(given.rows), columns: Int(given.columns),
          data: try copies.elements(bytes).baseAddress!))
    }
    return sections
  }
}

/// An object that can be saved.
private protocol Storable {
  func withImage(context: CallContext, _ body: (FileImage) throws(CoverTreeError) -> Void) throws(CoverTreeError)
}

/// One whose image does not change with it.
private protocol Imaged: Storable {
  func image(context: CallContext) throws(CoverTreeError) -> FileImage
}

extension Imaged {
  func withImage(context: CallContext, _ body: (FileImage) throws(CoverTreeError) -> Void) throws(CoverTreeError) {
    try body(image(context: context))
  }
}

extension AnyCoverTree: Imaged {}
extension ResidualSearch: Imaged {}
extension VIFSystem: Imaged {}
extension VectorIndex: Storable {}

/// Saves an object of the caller, with sections of theirs.
private func save(
  _ opened: @autoclosure () throws(CoverTreeError) -> (some Storable, CallContext), to path: In<CChar>,
  with sections: In<covertree_section>, _ count: Int64
) -> covertree_status {
  copying { (copies) throws(CoverTreeError) in
    let (object, context) = try opened()
    let path = try Arguments.path(path)
    try object.withImage(context: context) { (image) throws(CoverTreeError) in
      try image.adding(Arguments.sections(sections, count, copies)).write(to: path, context: context)
    }
  }
}

/// Does the same in memory.
private func encode(
  _ opened: @autoclosure () throws(CoverTreeError) -> (some Storable, CallContext), into file: Out<Handle>,
  with sections: In<covertree_section>, _ count: Int64
) -> covertree_status {
  copying { (copies) throws(CoverTreeError) in
    let (object, context) = try opened()
    let output = try required(file, "file")
    try object.withImage(context: context) { (image) throws(CoverTreeError) in
      let image = try image.adding(Arguments.sections(sections, count, copies))
      output.pointee = handles.add(FileHandle(try StoredFile(image, context: context)))
    }
  }
}

@_cdecl("covertree_tree_save") @implementation
public func covertree_tree_save(
  _ tree: Handle, _ path: In<CChar>, _ sections: In<covertree_section>, _ n_sections: Int64,
  _ options: In<covertree_call_options>
) -> covertree_status { save(try trees.opened(tree, options), to: path, with: sections, n_sections) }

@_cdecl("covertree_tree_encode") @implementation
public func covertree_tree_encode(
  _ tree: Handle, _ sections: In<covertree_section>, _ n_sections: Int64, _ options: In<covertree_call_options>,
  _ file: Out<Handle>
) -> covertree_status { encode(try trees.opened(tree, options), into: file, with: sections, n_sections) }

@_cdecl("covertree_residual_save") @implementation
public func covertree_residual_save(
  _ residual: Handle, _ path: In<CChar>, _ sections: In<covertree_section>, _ n_sections: Int64,
  _ options: In<covertree_call_options>
) -> covertree_status { save(try models.opened(residual, options), to: path, with: sections, n_sections) }

@_cdecl("covertree_residual_encode") @implementation
public func covertree_residual_encode(
  _ residual: Handle, _ sections: In<covertree_section>, _ n_sections: Int64, _ options: In<covertree_call_options>,
  _ file: Out<Handle>
) -> covertree_status { encode(try models.opened(residual, options), into: file, with: sections, n_sections) }

@_cdecl("covertree_vif_save") @implementation
public func covertree_vif_save(
  _ vif: Handle, _ path: In<CChar>, _ sections: In<covertree_section>, _ n_sections: Int64,
  _ options: In<covertree_call_options>
) -> covertree_status { save(try vifs.opened(vif, options), to: path, with: sections, n_sections) }

@_cdecl("covertree_vif_encode") @implementation
public func covertree_vif_encode(
  _ vif: Handle, _ sections: In<covertree_section>, _ n_sections: Int64, _ options: In<covertree_call_options>,
  _ file: Out<Handle>
) -> covertree_status { encode(try vifs.opened(vif, options), into: file, with: sections, n_sections) }

@_cdecl("covertree_index_save") @implementation
public func covertree_index_save(
  _ index: Handle, _ path: In<CChar>, _ sections: In<covertree_section>, _ n_sections: Int64,
  _ options: In<covertree_call_options>
) -> covertree_status { save(try indexes.opened(index, options), to: path, with: sections, n_sections) }

@_cdecl("covertree_index_encode") @implementation
public func covertree_index_encode(
  _ index: Handle, _ sections: In<covertree_section>, _ n_sections: Int64, _ options: In<covertree_call_options>,
  _ file: Out<Handle>
) -> covertree_status { encode(try indexes.opened(index, options), into: file, with: sections, n_sections) }

@_cdecl("covertree_sections_save") @implementation
public func covertree_sections_save(
  _ path: In<CChar>, _ input_hash: UInt64, _ sections: In<covertree_section>, _ n_sections: Int64,
  _ options: In<covertree_call_options>
) -> covertree_status {
  copying { (copies) throws(CoverTreeError) in
    let path = try Arguments.path(path)
    let image = FileImage(kind: .arrays, inputHash: input_hash, sections: [])
    try image.adding(Arguments.sections(sections, n_sections, copies)).write(to: path, context: callContext(options))
  }
}

/// Returns a file to the caller, verified on request.
private func give(
  _ flags: UInt32, _ options: In<covertree_call_options>, _ file: Out<Handle>,
  _ open: (_ maps: Bool) throws(CoverTreeError) -> StoredFile
) throws(CoverTreeError) {
  let output = try required(file, "file")
  let (copy, verify) = (COVERTREE_OPEN_COPY.rawValue, COVERTREE_OPEN_VERIFY.rawValue)
  guard flags & ~(copy | verify) == 0 else { throw CoverTreeError(.unsupported, "flags: unknown ones in \(flags)") }
  let opened = try open(flags & copy == 0)
  if flags & verify != 0 { try opened.verify(context: callContext(options)) }
  output.pointee = handles.add(FileHandle(opened))
}

@_cdecl("covertree_file_open") @implementation
public func covertree_file_open(
  _ path: In<CChar>, _ flags: UInt32, _ options: In<covertree_call_options>, _ file: Out<Handle>
) -> covertree_status {
  status { () throws(CoverTreeError) in
    let path = try Arguments.path(path)
    try give(flags, options, file) { (maps) throws(CoverTreeError) in try StoredFile(path: path, maps: maps) }
  }
}

@_cdecl("covertree_file_copy") @implementation
public func covertree_file_copy(
  _ bytes: UnsafeRawPointer?, _ n_bytes: Int64, _ flags: UInt32, _ options: In<covertree_call_options>,
  _ file: Out<Handle>
) -> covertree_status {
  status { () throws(CoverTreeError) in
    guard n_bytes >= 0, n_bytes < 1 << 56, bytes != nil || n_bytes == 0 else {
      throw CoverTreeError(.invalidArgument, "n_bytes: expected the size of the file, got \(n_bytes)")
    }
    let given = UnsafeRawBufferPointer(start: bytes, count: Int(n_bytes))
    try give(flags, options, file) { (_) throws(CoverTreeError) in try StoredFile(copying: given) }
  }
}

private func opened(file: Handle) throws(CoverTreeError) -> FileHandle {
  try handles.object(file, named: "file")
}

@_cdecl("covertree_tree_load") @implementation
public func covertree_tree_load(_ file: Handle, _ tree: Out<Handle>) -> covertree_status {
  status { () throws(CoverTreeError) in
    let stored = try opened(file: file).file
    let output = try required(tree, "tree")
    try AnyCoverTree.check(stored)
    output.pointee = trees.add { (context) throws(CoverTreeError) in try AnyCoverTree(stored, context: context) }
  }
}

@_cdecl("covertree_tree_load_function") @implementation
public func covertree_tree_load_function(
  _ file: Handle, _ options: In<covertree_tree_options>, _ tree: Out<Handle>
) -> covertree_status {
  status { () throws(CoverTreeError) in
    let stored = try opened(file: file).file
    let output = try required(tree, "tree")
    let options = try covertree_tree_options.read(options)
    guard let function = try options.distanceFunction(columns: FunctionTree.columns(in: stored)) else {
      throw CoverTreeError(.invalidArgument, "metric: expected COVERTREE_DISTANCE_FUNCTION, got \(options.metric)")
    }
    output.pointee = trees.add(.function(try FunctionTree(stored, by: function, context: options.context())))
  }
}

@_cdecl("covertree_residual_load") @implementation
public func covertree_residual_load(
  _ file: Handle, _ options: In<covertree_residual_options>, _ residual: Out<Handle>
) -> covertree_status {
  status { () throws(CoverTreeError) in
    let stored = try opened(file: file).file
    let output = try required(residual, "residual")
    let options = try covertree_residual_options.read(options)
    let callback = options.callbackKernel(
      dim: try ResidualSearch.dimension(in: stored, hasCallback: options.kernel_fn != nil))
    output.pointee = models.add { (context) throws(CoverTreeError) in
      try ResidualSearch.opened(stored, callback: callback, context: context)
    }
  }
}

@_cdecl("covertree_vif_load") @implementation
public func covertree_vif_load(
  _ file: Handle, _ options: In<covertree_vif_options>, _ vif: Out<Handle>
) -> covertree_status {
  status { () throws(CoverTreeError) in
    let stored = try opened(file: file).file
    let output = try required(vif, "vif")
    let options = try covertree_vif_options.read(options)
    let dim = try VIFSystem.dimension(in: stored, hasCallback: options.kernel_fn != nil)
    let callback = try options.callbackKernel(dim: dim)
    output.pointee = vifs.add { (context) throws(CoverTreeError) in
      try VIFSystem(stored, callback: callback, context: context)
    }
  }
}

@_cdecl("covertree_index_load") @implementation
public func covertree_index_load(
  _ file: Handle, _ store: Handle, _ options: In<covertree_call_options>, _ index: Out<Handle>
) -> covertree_status {
  status { () throws(CoverTreeError) in
    let stored = try opened(file: file).file
    let output = try required(index, "index")
    guard store == nil else {
      let index = try VectorIndex(stored, over: opened(store: store), context: callContext(options))
      output.pointee = indexes.add(index)
      return
    }
    try VectorIndex.check(stored)
    output.pointee = indexes.add { (context) throws(CoverTreeError) in try VectorIndex(stored, context: context) }
  }
}

@_cdecl("covertree_file_get_info") @implementation
public func covertree_file_get_info(_ file: Handle, _ info: Out<covertree_file_info>) -> covertree_status {
  status { () throws(CoverTreeError) in
    let stored = try opened(file: file).file
    try required(info, "info").pointee = covertree_file_info(
      n_bytes: Int64(stored.bytes.count), bytes: stored.bytes.baseAddress, input_hash: stored.inputHash,
      kind: Int32(stored.kind.rawValue), format_version: Int32(StoredFile.formatVersion),
      n_sections: Int64(stored.sections.count))
  }
}

@_cdecl("covertree_file_get_section") @implementation
public func covertree_file_get_section(
  _ file: Handle, _ index: Int64, _ section: Out<covertree_section>
) -> covertree_status {
  status { () throws(CoverTreeError) in
    let handle = try opened(file: file)
    let output = try required(section, "section")
    let sections = handle.file.sections
    guard sections.indices.contains(Int(index)) else {
      throw CoverTreeError(.notFound, "index: the file has \(sections.count) sections, got \(index)")
    }
    try handle.file.verify(Int(index), context: CallContext())
    let found = sections[Int(index)]
    output.pointee = covertree_section(
      name: handle.names[Int(index)], dtype: Int32(found.type.rawValue), reserved: 0, rows: Int64(found.rows),
      columns: Int64(found.columns), data: found.data)
  }
}

@_cdecl("covertree_file_free") @implementation
public func covertree_file_free(_ file: Handle) { handles.remove(file, FileHandle.self) }

@_cdecl("covertree_hash_points") @implementation
public func covertree_hash_points(
  _ points: In<covertree_matrix>, _ options: In<covertree_call_options>, _ hash: Out<UInt64>
) -> covertree_status {
  status { () throws(CoverTreeError) in
    let points = try Arguments.points(points, "points", minimum: 1)
    let output = try required(hash, "hash")
    let context = try callContext(options)
    switch points {
    case .float32(let view): output.pointee = try view.hash(context: context)
    case .float64(let view): output.pointee = try view.hash(context: context)
    }
  }
}
