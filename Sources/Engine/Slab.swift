// A table whose indices stay valid while the elements live, and are used again afterwards.

/// Elements by small, stable indices.
struct Slab<Element> {
  private var elements: [Element?] = []
  private var free: [Int] = []
  /// How many elements there are.
  private(set) var count = 0

  /// Adds an element and gives its index.
  mutating func insert(_ element: Element) -> Int {
    count += 1
    if let index = free.popLast() {
      elements[index] = element
      return index
    }
    elements.append(element)
    return elements.count - 1
  }

  /// Takes the element at `index` out.
  mutating func remove(_ index: Int) {
    precondition(elements[index] != nil)
    elements[index] = nil
    free.append(index)
    count -= 1
  }

  /// Whether there is an element at `index`.
  func contains(_ index: Int) -> Bool { elements.indices.contains(index) && elements[index] != nil }

  /// The indices of all elements.
  var indices: some Sequence<Int> {
    elements.indices.lazy.filter { [elements] in elements[$0] != nil }
  }

  /// The element at `index`; traps where there is none.
  subscript(index: Int) -> Element {
    @inline(__always) _read { yield elements[index]! }
    @inline(__always) _modify { yield &elements[index]! }
  }
}
