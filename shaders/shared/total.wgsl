// Sums of a value over a workgroup of 64 threads, in two steps of 8: few barriers, which cost more here than additions.
// With ALONE a thread's share is all there is. The kernel declares WORKGROUP = 64. Every thread must call these, in uniform
// control flow; every thread gets the sum.
#ifdef ALONE
fn workgroup_total(thread: u32, share: vec4<f32>) -> vec4<f32> {
    return share;
}
#else
var<workgroup> shares: array<vec4<f32>, WORKGROUP>;
var<workgroup> eighths: array<vec4<f32>, 8>;

fn workgroup_total(thread: u32, share: vec4<f32>) -> vec4<f32> {
    shares[thread] = share;
    workgroupBarrier();
    if (thread < 8u) {
        var sum = shares[8u * thread];
        for (var i = 1u; i < 8u; i++) {
            sum += shares[8u * thread + i];
        }
        eighths[thread] = sum;
    }
    workgroupBarrier();
    var total = eighths[0];
    for (var i = 1u; i < 8u; i++) {
        total += eighths[i];
    }
    return total;
}
#endif
