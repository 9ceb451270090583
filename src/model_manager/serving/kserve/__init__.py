"""The platform of a cluster: KServe's InferenceServices, applied, watched and explained."""
