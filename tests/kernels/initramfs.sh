#!/bin/busybox sh
# From the kernel to the guest's disks: a root, the kernel's modules, the project.
/bin/busybox mkdir -p /proc /sys /dev /root
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
for number in $(ls /modules | sort -n); do
    insmod "/modules/$number" || echo "cannot load $number"
done
mount -t ext4 /dev/vda /root
mkdir -p /root/usr/lib/modules
mount -t ext4 -o ro /dev/vdb /root/usr/lib/modules
tar -x -f /dev/vdc -C /root
for folder in proc sys dev; do
    mount --move "/$folder" "/root/$folder"
done
exec switch_root /root /bin/sh /project/tests/kernels/guest.sh
