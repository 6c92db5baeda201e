extension NodeID {
    /// The name of this node in the certificates of a mesh: a SPIFFE ID (SPIFFE-ID standard, section 2), which stands among the
    /// alternative names as a URI. What the mesh and its nodes may be called is a subset of what a SPIFFE ID may hold.
    public func certificateName(mesh: String) -> String { "spiffe://\(mesh)/region/\(region.name)/node/\(name)" }
}
