// v1.3.9 is the bbolt that versions up to 0.4.4 of the original were built with.
module model-manager.test/state/bolt

go 1.23

require go.etcd.io/bbolt v1.3.9

require golang.org/x/sys v0.4.0 // indirect
