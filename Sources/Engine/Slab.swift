// A table whose indices stay valid while the elements live, and are used again afterwards.

/// Elements by small, stable indices; each lies where it is changed in place.
@safe struct Slab<Element: ~Copyable>: ~Copyable {
  private var elements: UnsafeMutablePointer<Element>
  private var capacity = 4
  // One flag for each place that was ever used.
  private var isUsed: [Bool] = []
  private var free: [Int] = []
  /// How many elements there are.
  private(set) var count = 0

  init() { unsafe elements = .allocate(capacity: capacity) }

  deinit {
    for index in isUsed.indices where isUsed[index] {
      unsafe (elements + index).deinitialize(count: 1)
    }
    unsafe elements.deallocate()
  }

  /// Adds an element and gives its index.
  mutating func insert(_ element: consuming Element) -> Int {
    let index = free.popLast() ?? appendPlace()
    unsafe (elements + index).initialize(to: element)
    isUsed[index] = true
    count += 1
    return index
  }

  private mutating func appendPlace() -> Int {
    if isUsed.count == capacity { grow() }
    isUsed.append(false)
    return isUsed.count - 1
  }

  /// Moves all elements to an allocation of twice the size.
  private mutating func grow() {
    let larger = UnsafeMutablePointer<Element>.allocate(capacity: capacity * 2)
    for index in isUsed.indices where isUsed[index] {
      unsafe (larger + index).moveInitialize(from: elements + index, count: 1)
    }
    unsafe elements.deallocate()
    unsafe elements = larger
    capacity *= 2
  }

  /// Ends the element at `index`. The index is not given again before `recycle`: whoever was told of
  /// it has to hear that it ended first.
  mutating func remove(_ index: Int) {
    precondition(isUsed[index])
    isUsed[index] = false
    count -= 1
    unsafe (elements + index).deinitialize(count: 1)
  }

  /// Lets the index of a removed element be given again.
  mutating func recycle(_ index: Int) {
    precondition(!isUsed[index])
    free.append(index)
  }

  /// Whether there is an element at `index`.
  func contains(_ index: Int) -> Bool { isUsed.indices.contains(index) && isUsed[index] }

  /// The index of the first element at `index` or behind it.
  func first(from index: Int) -> Int? {
    index < isUsed.count ? isUsed[index...].firstIndex(of: true) : nil
  }

  /// The indices of all elements.
  var indices: some Sequence<Int> {
    isUsed.indices.lazy.filter { [isUsed] in isUsed[$0] }
  }

  /// The element at `index`; traps where there is none.
  subscript(index: Int) -> Element {
    @inline(__always) _read {
      precondition(isUsed[index])
      yield unsafe elements[index]
    }
    @inline(__always) _modify {
      precondition(isUsed[index])
      yield unsafe &elements[index]
    }
  }
}
