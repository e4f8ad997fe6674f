// Lays more than 65535 workgroups out over x and y: the flat index of this workgroup.
// The host side is `mole_shaders::grid`.
fn workgroup_index(workgroup: vec3<u32>, count: vec3<u32>) -> u32 {
    return workgroup.x + workgroup.y * count.x;
}
