// Sum and maximum over a workgroup of WORKGROUP threads (a power of two, declared by the kernel).
// Every thread of the workgroup must call these, in uniform control flow; every thread gets the result.
var<workgroup> reduce_scratch: array<f32, WORKGROUP>;

fn workgroup_sum(thread: u32, value: f32) -> f32 {
    reduce_scratch[thread] = value;
    workgroupBarrier();
    for (var stride = WORKGROUP / 2u; stride > 0u; stride = stride / 2u) {
        if (thread < stride) {
            reduce_scratch[thread] += reduce_scratch[thread + stride];
        }
        workgroupBarrier();
    }
    let total = reduce_scratch[0];
    // The scratch may be written again only when everyone has read it.
    workgroupBarrier();
    return total;
}

fn workgroup_max(thread: u32, value: f32) -> f32 {
    reduce_scratch[thread] = value;
    workgroupBarrier();
    for (var stride = WORKGROUP / 2u; stride > 0u; stride = stride / 2u) {
        if (thread < stride) {
            reduce_scratch[thread] = max(reduce_scratch[thread], reduce_scratch[thread + stride]);
        }
        workgroupBarrier();
    }
    let largest = reduce_scratch[0];
    workgroupBarrier();
    return largest;
}
